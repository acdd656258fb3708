# SPDX-License-Identifier: Apache-2.0
"""A matmul coprocessor at the end of a serial line, and a host that does the rest of a model's work.

`matrices` finds what does not change in an executable, `layout` cuts it into blocks, `driver` has them multiplied.
"""

from tepin_host.coprocessor.driver import SerialCoprocessor, find_coprocessor

__all__ = ["SerialCoprocessor", "find_coprocessor"]
