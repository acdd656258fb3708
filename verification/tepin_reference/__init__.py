# SPDX-License-Identifier: Apache-2.0
"""Numpy reference models: bit-exact models of the hardware, and float64 mathematics to measure them against."""
