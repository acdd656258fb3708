# SPDX-License-Identifier: Apache-2.0
"""The chip in standard cells: area, and the energy of what a real program does in it.

The Verilog that `tepin verilog` writes -> `synthesis` (Yosys, cells of a Liberty file) -> `netlist` (flat gates). A compiled
simulation of the same Verilog tells what all registers hold in every cycle (`recorder`); from that, `activity` computes what
every gate does and proves on the way that gates and Verilog agree; `energy` adds up what the Liberty file says that it costs.
"""
