# SPDX-License-Identifier: Apache-2.0
"""Boards: pins, PLLs and I/O cells around a system, and the way from Verilog to a bitstream.

    system (tepin) --> top (board) --> Yosys --> I/O cells --> nextpnr --> packer --> openFPGALoader
                                                                  |
                                                               report

Nothing in here computes: what a board runs is made, and simulated, by `tepin` alone.
"""
