# SPDX-License-Identifier: Apache-2.0
"""The self test that a board does at power-up: a program like any other, made for a chip and the size of its memory."""

from tepin_host.selftest.program import Part, describe_status, self_test_program

__all__ = ["Part", "describe_status", "self_test_program"]
