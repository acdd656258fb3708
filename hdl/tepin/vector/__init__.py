# SPDX-License-Identifier: Apache-2.0
"""The vector unit: element-wise float32 functions and row reductions, scratchpad to scratchpad."""
