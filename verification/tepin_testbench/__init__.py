# SPDX-License-Identifier: Apache-2.0
"""What testbenches are made of: runners for cocotb and for Amaranth's simulator, drivers and checkers."""
