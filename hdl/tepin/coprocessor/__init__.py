# SPDX-License-Identifier: Apache-2.0
"""The matmul coprocessor: array, memory and serial line for an FPGA that the whole chip does not fit into.

`job` says what it does and how it is asked, `memory` holds the matrices, `core` multiplies, `coprocessor` puts it on a line.
"""
