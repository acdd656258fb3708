# SPDX-License-Identifier: Apache-2.0
"""A device made of Python at the end of a pseudo-terminal: the protocol, registers, memory, programs.

It follows the protocol's words, not the hardware's text, so that the host is tested against the contract. Programs run on the
functional simulator.
"""

import os
import pty
import select
import threading
import tty
import zlib
from collections import deque

import numpy as np

from tepin.control.registers import IDENTIFICATION, REGISTERS, register
from tepin.io.protocol import (
    IDENTITY,
    IRQ,
    REQUEST_HEADER,
    VERSION,
    FrameParser,
    Request,
    Status,
    encode_frame,
)
from tepin.isa import ISA_VERSION
from tepin_reference.simulator import FunctionalSimulator, ProgramError

__all__ = ["CYCLES_PER_TOKEN", "FakeChip", "FakeDevice", "Noise"]

CYCLES_PER_TOKEN = 5000
START, STOP = 1, 2
BUSY, DONE, ERROR, TOKEN = 1, 2, 4, 8


class FakeChip:
    """Registers, and memory with a chip that is infinitely quick; its cycle counter shows 5000 for each token.

    Attributes
    ----------
    stuck : bool
        Programs never end.
    log : list
        ("read" or "write", register name, value) of every access.
    """

    def __init__(self, config, memory_bytes):
        self.config = config
        self.memory = np.zeros(memory_bytes, np.uint8)
        self.program = np.zeros(config.program_words, np.uint32)
        self.words = {entry.offset: entry.reset or 0 for entry in REGISTERS}
        for name, value in (
            ("ID", IDENTIFICATION),
            ("ISA_VERSION", ISA_VERSION),
            ("CONFIG_HASH", config.hash),
        ):
            self.words[register(name).offset] = value
        self.names = {entry.offset: entry.name for entry in REGISTERS}
        self.tokens = deque()
        self.status = 0
        self.stuck = False
        self.log = []

    def _set(self, name, value):
        self.words[register(name).offset] = value

    def _get(self, name):
        return self.words[register(name).offset]

    @property
    def irq(self):
        enabled = self._get("IRQ_ENABLE")
        return bool(enabled & (self.status >> 1 & 3 | 4 * bool(self.tokens)))

    def read(self, offset):
        """A word, or None if the register refuses."""
        name = self.names.get(offset)
        if name is None:
            return None
        value = self.words[offset]
        if name == "TOKEN":
            value = 0
            if self.tokens:
                value = self.tokens.popleft() | 1 << 31
                self._set("CYCLES_LO", self._get("CYCLES_LO") + CYCLES_PER_TOKEN)
        elif name == "STATUS":
            value = self.status | TOKEN * bool(self.tokens)
        elif name == "TOKEN_LEVEL":
            value = len(self.tokens)
        self.log.append(("read", name, value))
        return value

    def write(self, offset, value):
        """Whether the register takes it."""
        name = self.names.get(offset)
        if name is None or register(name).access == "ro" or register(name).idle and self.status & BUSY:
            return False
        self.log.append(("write", name, value))
        if name == "PROGRAM_DATA":
            address = self._get("PROGRAM_ADDRESS")
            self.program[address] = value
            self._set("PROGRAM_ADDRESS", address + 1)
        elif name == "CONTROL":
            if value & START:
                self._start()
            elif value & STOP and self.status & BUSY:
                self.status = ERROR
        else:
            self.words[offset] = value
        return True

    def _start(self):
        self._set("CYCLES_LO", 0)
        self._set("ERROR", 0)
        self.status = BUSY
        if self.stuck:
            return
        limit = self._get("READ_LIMIT") + 1
        simulator = FunctionalSimulator(self.config, self.memory[:limit])
        try:
            self.tokens.extend(simulator.run(self.program.tolist()))
            self.status = DONE
        except ProgramError as error:
            self.status = ERROR
            for name, word in (
                ("ERROR", error.code.value),
                ("ERROR_PC", error.pc),
                ("ERROR_INFO", error.info),
            ):
                self._set(name, word)


class Noise:
    """Changes a share of the bytes; may be switched on and off."""

    def __init__(self, rng, rate=0.0):
        self.rate = rate
        self._rng = rng

    def __call__(self, data):
        if not self.rate:
            return data
        result = bytearray()
        for byte in data:
            kind = self._rng.integers(3) if self._rng.random() < self.rate else None
            if kind != 0:
                result.append(byte ^ (1 << int(self._rng.integers(8)) if kind == 1 else 0))
            if kind == 2:
                result.append(int(self._rng.integers(256)))
        return bytes(result)


class FakeDevice:
    """A device on a pseudo-terminal, in a thread of its own.

    Parameters
    ----------
    chip : FakeChip
    version : int
    noise : callable, optional
        What the line makes of bytes, in either direction.

    Attributes
    ----------
    noise_in, noise_out : callable
        The same for one direction, seen from the device.
    path : str
        What the host opens.
    self_tests : list of int
        Words of the self test in one identity after the other; the last one stays.
    silent : bool
        Nothing is answered.
    unplug_after : int or None
        Answers until the pseudo-terminal goes away.
    executed : list of Request
        What was done, without repetitions.
    """

    def __init__(self, chip, *, version=VERSION, noise=None):
        self.chip = chip
        self.version = version
        self.self_tests = [0]
        self.noise_in = self.noise_out = noise or (lambda data: data)
        self.silent = False
        self.unplug_after = None
        self.executed = []
        self._sequence = None
        self._answer = None
        self._parser = FrameParser()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        """Take the device away; the path is gone."""
        os.write(self._stop_write, b"x")
        self._thread.join()

    def _run(self):
        while self.unplug_after != 0:
            ready, _, _ = select.select([self._master, self._stop_read], [], [])
            if self._stop_read in ready:
                break
            for body in self._parser.feed(self.noise_in(os.read(self._master, 4096))):
                answer = self._receive(body)
                if answer is None or self.silent or self.unplug_after == 0:
                    continue
                if self.unplug_after:
                    self.unplug_after -= 1
                os.write(self._master, self.noise_out(encode_frame(answer)))
        for descriptor in (self._slave, self._master):
            os.close(descriptor)

    def reset(self):
        """As if somebody had pressed the button."""
        self._sequence = None

    def _receive(self, body):
        """The answer to a request, or None."""
        sequence, code, count, address = REQUEST_HEADER.unpack_from(body)
        payload = body[REQUEST_HEADER.size :]
        if code != Request.IDENTIFY:
            if self._sequence is None:
                return None
            if sequence == self._sequence:
                return self._answer
            if sequence != (self._sequence + 1) % 256:
                return None
        self._sequence = sequence
        self.executed.append(Request(code))
        status, result = getattr(self, f"_{Request(code).name.lower()}")(count, address, payload)
        self._answer = bytes([sequence, status]) + result
        return self._answer

    def _identify(self, count, address, payload):
        hash_, size = self.chip.config.hash, len(self.chip.memory)
        self_test = self.self_tests.pop(0) if len(self.self_tests) > 1 else self.self_tests[0]
        return Status.OKAY, IDENTITY.pack(self.version, hash_, 100_000_000, size, 2048, self_test)

    def _read_registers(self, count, address, payload):
        result = b""
        for offset in range(address, address + count, 4):
            value = self.chip.read(offset)
            if value is None:
                return Status.SLVERR, result
            result += value.to_bytes(4, "little")
        return Status.OKAY, result

    def _write_registers(self, count, address, payload):
        assert count == len(payload)
        for at in range(0, count, 4):
            if not self.chip.write(address, int.from_bytes(payload[at : at + 4], "little")):
                return Status.SLVERR, b""
        return Status.OKAY, b""

    def _memory(self, address, count):
        memory = self.chip.memory[address : address + count]
        return memory if len(memory) == count else None

    def _read_memory(self, count, address, payload):
        memory = self._memory(address, count)
        return (Status.DECERR, b"") if memory is None else (Status.OKAY, memory.tobytes())

    def _write_memory(self, count, address, payload):
        assert count == len(payload)
        memory = self._memory(address, count)
        if memory is None:
            return Status.DECERR, b""
        memory[:] = np.frombuffer(payload, np.uint8)
        return Status.OKAY, b""

    def _checksum(self, count, address, payload):
        memory = self._memory(address, count)
        if memory is None:
            return Status.DECERR, b""
        return Status.OKAY, zlib.crc32(memory.tobytes()).to_bytes(4, "little")

    def _take_tokens(self, count, address, payload):
        chip = self.chip
        words = []
        while 4 * len(words) < count and (word := chip.read(register("TOKEN").offset)) >> 31:
            words.append(word)
        words.append(chip.read(register("STATUS").offset) | IRQ * chip.irq)
        words.append(chip.read(register("CYCLES_LO").offset))
        return Status.OKAY, b"".join(word.to_bytes(4, "little") for word in words)
