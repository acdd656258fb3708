# SPDX-License-Identifier: Apache-2.0
"""A chip and its memory behind a host link: what a `ChipDriver` drives, and a loader."""

import time
import zlib
from collections import deque

from tepin.boot import SelfTestState, SelfTestStatus
from tepin.control.registers import register
from tepin.io.protocol import IRQ, PAYLOAD_BYTES, TOKEN_BYTES, Request, Status
from tepin_host.errors import UserError
from tepin_host.selftest import describe_status
from tepin_host.serial.link import Command, Link

__all__ = ["SerialChip"]

_BLOCK = 4096  # bytes of memory that are compared at a time
_TOKEN, _STATUS, _LEVEL = (register(name).offset for name in ("TOKEN", "STATUS", "TOKEN_LEVEL"))
_TOKEN_WAITING = next(field.mask for field in register("STATUS").fields if field.name == "token")
_CYCLE_BITS = 32
_SELF_TEST_SECONDS = 0.1  # between looks at the self test, which takes a second


class SerialChip:
    """A chip at the other end of a port.

    Tokens are fetched ahead, as many as there are, with the answer that tells of them; reading the register TOKEN gives them
    one by one, as if they were still in the chip.

    Parameters
    ----------
    port : SerialPort or similar
        Closed by `close`, or at the end of a `with` block.
    patience : float
        Seconds to wait for an answer before a request is repeated.
    poll_seconds : float
        Seconds that the device waits for the interrupt before it answers that there was none.
    self_test_seconds : float
        Seconds that `await_self_test` waits.

    Attributes
    ----------
    identity : tepin.io.protocol.Identity
    cycles : int
        Of the running program, when the device was last asked for tokens.

    Raises
    ------
    UserError
        If there is no such device, or the line is lost or too bad; from every method.
    """

    def __init__(self, port, *, patience=0.5, poll_seconds=0.1, self_test_seconds=30.0):
        self._port = port
        self._poll_seconds = poll_seconds
        self._self_test_seconds = self_test_seconds
        self._tokens = deque()
        self.cycles = 0
        try:
            self._link = Link(port, patience=patience)
        except BaseException:
            port.close()
            raise

    @property
    def name(self):
        """Of the port."""
        return self._port.name

    @property
    def baud(self):
        """Bits per second on the line."""
        return self._port.baud

    @property
    def identity(self):
        """What the device says of itself."""
        return self._link.identity

    @property
    def repeated(self):
        """Requests that the line made necessary to send again."""
        return self._link.repeated

    def await_self_test(self):
        """Return when the self test that the device does at power-up is over.

        Until then the device keeps requests for registers waiting. `UserError` if the test has failed, or does not end within
        `self_test_seconds`.
        """
        identity = self.identity
        deadline = time.monotonic() + self._self_test_seconds
        while SelfTestStatus.from_bits(identity.self_test).state == SelfTestState.RUNNING:
            if time.monotonic() >= deadline:
                what = describe_status(identity.self_test)
                raise UserError(f"{self.name}: the board's self test does not end ({what}); reset the board")
            time.sleep(_SELF_TEST_SECONDS)
            identity = self._link.identify()
        if SelfTestStatus.from_bits(identity.self_test).state == SelfTestState.FAILED:
            raise UserError(f"{self.name}: the board's self test has {describe_status(identity.self_test)}")

    def close(self):
        """Give the port back. The chip goes on with what it does."""
        self._port.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Registers

    def read(self, offset):
        """Read a register; `RuntimeError` if the chip refuses."""
        if offset == _TOKEN and self._tokens:
            return self._tokens.popleft()
        value = self.read_many(offset, 1)[0]
        if offset == _STATUS and self._tokens:
            value |= _TOKEN_WAITING
        return value + len(self._tokens) if offset == _LEVEL else value

    def write(self, offset, value):
        """Write a register; `RuntimeError` if the chip refuses."""
        self.write_many(offset, [value])

    def read_many(self, offset, count):
        """Read consecutive registers, at most 64."""
        command = Command(Request.READ_REGISTERS, 4 * count, offset)
        return _words(self._okay(command, f"read of register {offset:#x}"))

    def write_many(self, offset, values):
        """Write words to one register, one after the other."""
        data = b"".join(value.to_bytes(4, "little") for value in values)
        for at in range(0, len(data), PAYLOAD_BYTES):
            piece = data[at : at + PAYLOAD_BYTES]
            command = Command(Request.WRITE_REGISTERS, len(piece), offset, piece)
            self._okay(command, f"write to register {offset:#x}")

    def wait(self):
        """Return when there is a token to read, or the chip raises its interrupt."""
        cycles = min(int(self._poll_seconds * self.identity.clock_hz), 0xFFFF_FFFF)
        command = Command(Request.TAKE_TOKENS, TOKEN_BYTES, cycles)
        while not self._tokens:
            payload = self._okay(command, "read of tokens", wait=self._poll_seconds)
            *tokens, status, elapsed = _words(payload)
            self._tokens.extend(tokens)
            self._elapse(elapsed)
            if status & IRQ:
                return

    def begin(self):
        """Tell that a program starts with the next writes: nothing that was fetched before belongs to it."""
        self._tokens.clear()
        self.cycles = 0

    def _elapse(self, low):
        """Take over the lower bits of the cycle counter."""
        self.cycles += (low - self.cycles) % (1 << _CYCLE_BITS)

    # Memory

    def load(self, address, data, progress=None):
        """Bring `data` to memory; returns how many bytes had to be sent.

        What is there already, as after an earlier run of the same model, is found by its checksum and not sent again.

        Parameters
        ----------
        address : int
            Of the first byte.
        data : bytes-like
        progress : callable(fraction), optional
        """
        data = bytes(data)
        blocks = [(at, data[at : at + _BLOCK]) for at in range(0, len(data), _BLOCK)]
        checks = [Command(Request.CHECKSUM, len(block), address + at) for at, block in blocks]
        there = self.accesses(checks)
        commands = [
            Command(Request.WRITE_MEMORY, len(piece), address + at + offset, piece)
            for (at, block), checksum in zip(blocks, there, strict=True)
            if zlib.crc32(block) != int.from_bytes(checksum, "little")
            for offset in range(0, len(block), PAYLOAD_BYTES)
            for piece in (block[offset : offset + PAYLOAD_BYTES],)
        ]
        self.accesses(commands, progress)
        return sum(command.count for command in commands)

    def dump(self, address, count, progress=None):
        """`count` bytes of memory from `address` on."""
        commands = [
            Command(Request.READ_MEMORY, min(PAYLOAD_BYTES, count - at), address + at)
            for at in range(0, count, PAYLOAD_BYTES)
        ]
        return b"".join(self.accesses(commands, progress))

    def accesses(self, commands, progress=None):
        """Payloads of the answers to accesses of memory, which are done in order.

        Several are under way at a time. If the line loses one, it and those behind it may be done again. `RuntimeError` if
        one is refused.
        """
        answers = self._link.requests(commands, progress)
        for command, (status, _) in zip(commands, answers, strict=True):
            _check(status, f"access to {command.count} bytes of memory at {command.address:#x}")
        return [payload for _, payload in answers]

    def _okay(self, command, what, **others):
        status, payload = self._link.request(command, **others)
        _check(status, what)
        return payload


def _check(status, what):
    if status != Status.OKAY:
        raise RuntimeError(f"{what}: {status.name}")


def _words(payload):
    return [int.from_bytes(payload[at : at + 4], "little") for at in range(0, len(payload), 4)]
