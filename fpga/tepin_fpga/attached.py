# SPDX-License-Identifier: Apache-2.0
"""Which boards are plugged in, and whether this user may talk to them."""

import os
import re
from dataclasses import dataclass

__all__ = ["Attached", "attached_boards", "permission_help"]


@dataclass(frozen=True)
class Attached:
    """A board on a serial port.

    Members
    -------
    board : str
    port : str
        Path of the device.
    serial : str
        Serial number, or "".
    permitted : bool
        May this user read and write the port?
    """

    board: str
    port: str
    serial: str
    permitted: bool


def attached_boards(boards, ports=None):
    """Boards that are plugged in.

    Parameters
    ----------
    boards : iterable of Board
    ports : iterable, optional
        Serial ports as `serial.tools.list_ports.comports` describes them; those of this machine by default.

    A board is known by the identifiers of its USB chip and by its product string. If several boards have the same ones, the
    port is listed for each of them.
    """
    if ports is None:
        from serial.tools.list_ports import comports

        ports = comports()
    return [
        Attached(board.name, port.device, port.serial_number or "", os.access(port.device, os.R_OK | os.W_OK))
        for port in ports
        for board in boards
        if (port.vid, port.pid) == (board.usb.vendor, board.usb.product)
        and re.search(board.usb.name, port.product or "")
    ]


def permission_help(port):
    """How to get permission for a serial port, in one line."""
    if os.name != "posix":
        return "install the driver of the USB serial chip"
    try:
        import grp

        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (OSError, KeyError):
        group = "dialout"
    return f"run 'sudo usermod -a -G {group} $USER' and log in again"
