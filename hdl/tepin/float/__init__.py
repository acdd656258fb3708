# SPDX-License-Identifier: Apache-2.0
"""Floating-point arithmetic: pipelines of fixed latency that take operands in every cycle and never stall.

The vector unit and the matmul drain are made of these. `verification/tepin_reference/float32.py` and `special.py` are
their bit-exact models.
"""
