# SPDX-License-Identifier: Apache-2.0
"""A chip at the end of a serial line: its port, the link that survives a bad line, the chip behind it."""

from tepin_host.serial.chip import SerialChip
from tepin_host.serial.link import Link
from tepin_host.serial.port import SerialPort, open_port

__all__ = ["Link", "SerialChip", "SerialPort", "open_port"]
