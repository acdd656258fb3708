# SPDX-License-Identifier: Apache-2.0
"""Serial ports of this machine, with errors that say what to do.

A `Link` needs no more of a port than `name`, `baud`, `read`, `write` and `close` as they are here.
"""

import contextlib
import errno
import time

import serial
from serial.tools import list_ports

from tepin.io.protocol import BAUD
from tepin_host.errors import UserError

__all__ = ["SerialPort", "open_port"]

_TICK = 0.02  # seconds between looks at the clock while waiting for bytes
_WRITE_PATIENCE = 5.0  # seconds that a port may take none of our bytes


def open_port(text):
    """The port that `DEVICE[,BAUD]` names; `UserError` if it cannot be had."""
    name, comma, rate = text.partition(",")
    try:
        baud = int(rate) if comma else BAUD
    except ValueError:
        baud = 0
    if not name or baud < 1:
        raise UserError(f"--device takes DEVICE[,BAUD], such as /dev/ttyUSB0,{BAUD}, not {text!r}")
    return SerialPort(name, baud)


class SerialPort:
    """An open serial port, or a pseudo-terminal; nobody else may open it meanwhile.

    Parameters
    ----------
    name : str
        Such as /dev/ttyUSB0 or COM3.
    baud : int

    Raises
    ------
    UserError
        If it cannot be opened, with what to do about it; and from `read` and `write` if it goes away.
    """

    def __init__(self, name, baud):
        self.name = name
        self.baud = baud
        try:
            self._serial = serial.Serial(
                name, baud, timeout=_TICK, write_timeout=_WRITE_PATIENCE, exclusive=True
            )
            self._serial.reset_input_buffer()
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"{name}: {_why_not(error, baud)}") from error
        # USB adapters collect bytes for 16 ms otherwise. Not all systems and drivers can be asked.
        with contextlib.suppress(Exception):
            self._serial.set_low_latency_mode(True)

    def read(self, timeout):
        """Bytes that have come, as soon as there are any; none after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._gone():
            while True:
                received = self._serial.read(max(1, self._serial.in_waiting))
                if received or time.monotonic() >= deadline:
                    return received

    def write(self, data):
        """Send bytes; returns when the system has taken them."""
        with self._gone():
            self._serial.write(data)

    def close(self):
        """Give the port back."""
        with contextlib.suppress(OSError):
            self._serial.close()

    @contextlib.contextmanager
    def _gone(self):
        try:
            yield
        except serial.SerialTimeoutException as error:
            raise UserError(f"{self.name}: takes no data") from error
        except (OSError, TypeError) as error:  # TypeError: pyserial, of a port that another thread has closed
            raise UserError(f"{self.name}: has gone away; is it still plugged in?") from error


def _why_not(error, baud):
    """In words, why a port could not be opened."""
    code = getattr(error, "errno", None)
    if code is None and error.__context__ is not None and error.__context__.args:
        code = error.__context__.args[0]  # pyserial puts some errors of termios into words
    if code == errno.ENOENT:
        present = ", ".join(sorted(port.device for port in list_ports.comports())) or "none"
        return f"no such device; serial ports of this machine: {present}"
    if code in (errno.EACCES, errno.EPERM):
        return (
            "no permission; `sudo usermod -aG dialout $USER` gives it from the next login on "
            "(the group is uucp on some systems)"
        )
    if code in (errno.EAGAIN, errno.EBUSY):
        return "another program uses it"
    if code in (errno.ENOTTY, errno.EISDIR, errno.ENODEV, errno.ENXIO):
        return "is no serial port"
    if isinstance(error, ValueError | OverflowError):
        return f"cannot be set to {baud} baud"
    return str(getattr(error, "strerror", None) or error)
