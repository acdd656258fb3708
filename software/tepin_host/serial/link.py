# SPDX-License-Identifier: Apache-2.0
"""The host's end of the host link: requests that are answered exactly once, over a line that need not be good.

See `tepin.io.protocol`. A request is repeated until its answer comes; the device sees to it that it is done once.
"""

import secrets
import time
from collections import deque
from dataclasses import dataclass

from tepin.io.protocol import (
    ANSWER_HEADER,
    IDENTITY,
    REQUEST_HEADER,
    VERSION,
    FrameParser,
    Identity,
    Request,
    Status,
    encode_frame,
)
from tepin_host.errors import UserError

__all__ = ["Command", "Link"]

_MOST_PENDING = 64  # requests under way: few enough for an answer's sequence number to be of one of them only
_STATUSES = {status.value for status in Status}


@dataclass(frozen=True)
class Command:
    """A request without its sequence number."""

    code: Request
    count: int = 0
    address: int = 0
    payload: bytes = b""

    def frame(self, sequence):
        """Its bytes on the line."""
        header = REQUEST_HEADER.pack(sequence, self.code, self.count, self.address)
        return encode_frame(header + self.payload)


class Link:
    """A session with a device.

    Parameters
    ----------
    port : SerialPort or similar
    patience : float
        Seconds to wait for an answer, besides those that bytes take on the line.
    attempts : int
        How often a request is sent before the line is given up.

    Attributes
    ----------
    identity : Identity
        Of the device.
    repeated : int
        Requests sent again so far.

    Raises
    ------
    UserError
        If nothing, or nothing usable, answers; from any request if the line is lost or too bad.
    """

    def __init__(self, port, *, patience=0.5, attempts=8):
        self._port = port
        self._patience = patience
        self._attempts = attempts
        self._parser = FrameParser()
        self._answers = deque()
        self._heard = 0  # bytes received
        self.repeated = 0
        # Whatever a session before this one used last, this is unlikely to be the next.
        self._sequence = secrets.randbelow(256)
        self.identity = self._identify(self._attempts // 2)
        if self.identity is None:
            raise UserError(f"{port.name}: {self._silence('at ' + str(port.baud) + ' baud')}")

    def identify(self):
        """Ask the device again who it is; returns what `identity` is from now on."""
        before = self._heard
        identity = self._identify(self._attempts)
        if identity is None:
            self._give_up(self._heard > before)
        self.identity = identity
        return identity

    def request(self, command, *, wait=0.0):
        """(Status, payload) of the answer to one command, which is done once.

        `wait` are seconds that the device may take until it answers.
        """
        self._sequence = (self._sequence + 1) % 256
        frame = command.frame(self._sequence)
        before = self._heard, self.repeated
        for attempt in range(self._attempts):
            self.repeated += attempt > 0
            self._port.write(frame)
            answer = self._await({self._sequence}, self._line_seconds(len(frame)) + wait)
            if answer:
                return answer[1:]
        # A device that answers this and nothing else has forgotten the session; unless the line was bad before.
        if not self._parser.damaged and not before[1] and self._identify(2) is not None:
            raise UserError(
                f"{self._port.name}: the device was reset, or another program uses it; start again"
            )
        self._give_up(self._heard > before[0])

    def requests(self, commands, progress=None):
        """Answers to commands, in order, with several of them under way at a time.

        If anything goes wrong on the line, those without an answer are sent again and may be *done* again, so that they must
        be of the kind that can be: reads and writes of memory.

        Parameters
        ----------
        commands : list of Command
        progress : callable(fraction), optional
        """
        answers = []
        failures = 0
        while len(answers) < len(commands):
            before = len(answers), self._heard
            for answer in self._stream(commands[len(answers) :]):
                answers.append(answer)
                if progress:
                    progress(len(answers) / len(commands))
            if len(answers) == len(commands):
                break
            failures = failures + 1 if len(answers) == before[0] else 0
            self.repeated += 1
            # All that is under way is settled when this is answered.
            settled = self._identify(self._attempts) is not None
            if failures == self._attempts or not settled:
                self._give_up(settled or self._heard > before[1])
        return answers

    def _stream(self, commands):
        """Answers in order, up to the first one that is missing."""
        pending = deque()  # (sequence, size of the frame)
        size = sent = 0
        while sent < len(commands) or pending:
            while sent < len(commands) and len(pending) < _MOST_PENDING:
                sequence = (self._sequence + 1) % 256
                frame = commands[sent].frame(sequence)
                if pending and size + len(frame) > self.identity.receive_bytes:
                    break
                self._port.write(frame)
                self._sequence = sequence
                pending.append((sequence, len(frame)))
                size += len(frame)
                sent += 1
            answer = self._await({sequence for sequence, _ in pending}, self._line_seconds(size))
            if not answer or answer[0] != pending[0][0]:
                return
            size -= pending.popleft()[1]
            yield answer[1:]

    def _identify(self, attempts):
        """Begin a session; returns the `Identity`, or None."""
        # Far from the numbers of requests that may be under way.
        self._sequence = (self._sequence + 2 * _MOST_PENDING) % 256
        frame = Command(Request.IDENTIFY).frame(self._sequence)
        for _ in range(attempts):
            self._port.write(frame)
            answer = self._await({self._sequence}, self._line_seconds(len(frame)))
            if answer:
                return self._identity(answer[2])
        return None

    def _identity(self, payload):
        version = int.from_bytes(payload[:4], "little")
        if version != VERSION or len(payload) != IDENTITY.size:
            raise UserError(
                f"{self._port.name}: the device speaks version {version} of the protocol, this software {VERSION}; "
                "build its bitstream again"
            )
        return Identity(*IDENTITY.unpack(payload))

    def _line_seconds(self, size):
        """Seconds that a request of so many bytes, and the longest answer, spend on the line."""
        return 10 * (size + 600) / self._port.baud

    def _await(self, sequences, seconds):
        """(sequence, Status, payload) of the next answer to one of these requests, or None."""
        deadline = time.monotonic() + self._patience + seconds
        while True:
            while self._answers:
                body = self._answers.popleft()
                if len(body) < ANSWER_HEADER.size:
                    continue
                sequence, status = ANSWER_HEADER.unpack_from(body)
                if sequence in sequences and status in _STATUSES:
                    return sequence, Status(status), body[ANSWER_HEADER.size :]
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            received = self._port.read(left)
            self._heard += len(received)
            self._answers.extend(self._parser.feed(received))

    def _silence(self, where):
        if self._heard:
            return (
                f"what comes {where} makes no sense: another baud rate, another device, or a very noisy line"
            )
        return f"nothing answers {where}; is the board on, its bitstream loaded, and that its baud rate?"

    def _give_up(self, heard):
        """Raise what explains a request without an answer."""
        name = self._port.name
        if heard:
            raise UserError(
                f"{name}: the line is too noisy, {self._attempts} attempts brought no undamaged answer; "
                "try a shorter cable or a lower baud rate"
            )
        raise UserError(f"{name}: the device has stopped answering; is it still on?")
