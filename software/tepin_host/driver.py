# SPDX-License-Identifier: Apache-2.0
"""Drives a chip through its registers, wherever it is: in a simulation, or at the end of a wire.

The other side is anything with `read(offset) -> int` and `write(offset, value)`. One to which every access is a long way may
have `read_many(offset, count)`, of consecutive registers, and `write_many(offset, values)`, to one register, as well.
"""

from dataclasses import dataclass

from tepin.control.registers import COUNTERS, IDENTIFICATION, register
from tepin.isa import ISA_VERSION, ErrorCode
from tepin_host.errors import UserError

__all__ = ["ChipDriver", "ChipError"]

_HALT_READS = 1000  # of STATUS: many times as long as the memory takes to finish what it has begun


@dataclass(frozen=True)
class ChipError:
    """Why a program stopped: what the error registers say."""

    code: ErrorCode
    pc: int
    info: int

    def __str__(self):
        return f"{self.code.name} at word {self.pc} of the program, info {self.info:#x}"


class ChipDriver:
    """A chip, seen by its host.

    Parameters
    ----------
    registers : object with `read(offset)` and `write(offset, value)`
    """

    def __init__(self, registers):
        self._registers = registers

    def read(self, name):
        """Content of a register."""
        return self._registers.read(register(name).offset)

    def write(self, name, value):
        self._registers.write(register(name).offset, value)

    def _field(self, name, field):
        return next(entry.mask for entry in register(name).fields if entry.name == field)

    def identify(self, config):
        """Check that this is a Tepin of the given configuration; `UserError` otherwise."""
        identification = self.read("ID")
        if identification != IDENTIFICATION:
            raise UserError(f"there is no Tepin: register ID reads {identification:#010x}")
        version = self.read("ISA_VERSION")
        if version != ISA_VERSION:
            raise UserError(f"the chip has instruction set {version}, this software {ISA_VERSION}")
        found = self.read("CONFIG_HASH")
        if found != config.hash:
            raise UserError(f"the chip's configuration is {found:08x}, the program is for {config.hash:08x}")

    def load_program(self, words):
        """Fill the program memory from word 0."""
        self.write("PROGRAM_ADDRESS", 0)
        if hasattr(self._registers, "write_many"):
            self._registers.write_many(register("PROGRAM_DATA").offset, words)
            return
        for word in words:
            self.write("PROGRAM_DATA", word)

    def halt(self):
        """Stop the program that may be running, and drop the tokens that it has left."""
        busy, valid = self._field("STATUS", "busy"), self._field("TOKEN", "valid")
        if self.read("STATUS") & busy:
            self.write("CONTROL", self._field("CONTROL", "stop"))
        for _ in range(_HALT_READS):
            if not self.read("STATUS") & busy:
                break
        else:
            raise UserError("the chip does not stop: its memory does not answer; reset it")
        while self.read("TOKEN") & valid:
            pass

    def start(self, *, read, write, pc=0):
        """Start the program.

        Parameters
        ----------
        read, write : (int, int)
            Windows of memory, first byte and first byte behind, that the program may read and write.
        pc : int
            Word number at which it starts.
        """
        for name, (base, limit) in (("READ", read), ("WRITE", write)):
            self.write(f"{name}_BASE", base)
            self.write(f"{name}_LIMIT", limit - 1)
        self.write("START_PC", pc)
        self.write("IRQ_ENABLE", 7)
        self.write("IRQ_STATUS", 7)
        self.write("CONTROL", self._field("CONTROL", "start"))

    def tokens(self, wait):
        """Yield tokens until the program ends; `wait()` returns when the chip raises its interrupt."""
        valid = self._field("TOKEN", "valid")
        busy, token = self._field("STATUS", "busy"), self._field("STATUS", "token")
        while True:
            wait()
            word = self.read("TOKEN")
            if word & valid:
                yield word & ~valid
                continue
            status = self.read("STATUS")
            if not status & (busy | token):
                return

    def error(self):
        """The `ChipError` of the last program, or None."""
        code = ErrorCode(self.read("ERROR"))
        if code == ErrorCode.NONE:
            return None
        return ChipError(code, self.read("ERROR_PC"), self.read("ERROR_INFO"))

    def counters(self):
        """Performance counters of the last program, by name in lower case."""
        if hasattr(self._registers, "read_many"):
            first = register(f"{COUNTERS[0][0]}_LO").offset
            words = iter(self._registers.read_many(first, 2 * len(COUNTERS)))
        else:
            words = (self.read(f"{name}_{half}") for name, _ in COUNTERS for half in ("LO", "HI"))
        return {name.lower(): next(words) | next(words) << 32 for name, _ in COUNTERS}
