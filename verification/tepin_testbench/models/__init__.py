# SPDX-License-Identifier: Apache-2.0
"""Behavioural models of parts around the chip, in plain Verilog, for Icarus, Verilator and compiled simulations."""
