# SPDX-License-Identifier: Apache-2.0
"""What connects a chip to the world outside of the FPGA: a serial line, and the host link that runs over it."""
