# SPDX-License-Identifier: Apache-2.0
"""A design as files for other people's tools: plain Verilog, a file a module, and all that describes it.

Amaranth's netlist (RTLIL) -> `rtlil` -> `simplify`, `unused`, `merge`, `memories` -> `writer` -> Verilog. The compiled
simulation and the FPGA build use `tepin.verilog` instead, which leaves the text to Yosys; both come from the same netlist.
"""
