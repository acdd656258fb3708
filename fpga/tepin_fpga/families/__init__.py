# SPDX-License-Identifier: Apache-2.0
"""Families of FPGAs, one file each: devices, cells around a system, and the tools from Verilog to a bitstream."""
