# SPDX-License-Identifier: Apache-2.0
"""The register map: the one table that the hardware, the runtime, the documentation and the C header share."""

from dataclasses import dataclass

__all__ = ["COUNTERS", "IDENTIFICATION", "REGISTERS", "Register", "RegisterField", "register"]

IDENTIFICATION = int.from_bytes(b"TEPN", "big")
"""Content of the register ID."""


@dataclass(frozen=True)
class RegisterField:
    """Bits of a register: `width` of them from bit `low` on."""

    name: str
    low: int
    width: int
    doc: str

    @property
    def mask(self):
        """The field's bits set."""
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True)
class Register:
    """A 32-bit register.

    `access` is `ro` (writes fail), `rw`, or `wo` (reads return zero). Writing an `idle` register fails while a program runs.
    A `reset` of None is a constant of the configuration or means nothing.
    """

    name: str
    offset: int
    access: str
    reset: int | None
    doc: str
    fields: tuple[RegisterField, ...] = ()
    idle: bool = False


COUNTERS = (
    ("CYCLES", "cycles since the program was started"),
    ("WEIGHTS_BUSY", "cycles in which the weight load engine was busy"),
    ("LOADS_BUSY", "cycles in which the load engine was busy"),
    ("STORES_BUSY", "cycles in which the store engine was busy"),
    ("MATMUL_BUSY", "cycles in which the matmul engine was busy"),
    ("VECTOR_BUSY", "cycles in which the vector engine was busy"),
    ("SEQUENCER_STALLED", "cycles in which the sequencer waited for anything but itself"),
    ("READ_BEATS", "beats read on the memory port"),
    ("WRITE_BEATS", "beats written on the memory port"),
    ("ARRAY_ACTIVE", "cycles in which activations entered the array"),
)
"""Performance counters, in the order of the hardware. They count while a program runs and are cleared by a start."""

_COUNTER_BASE = 0x80
_WORD_MAXIMUM = (1 << 32) - 1

_EVENTS = (
    RegisterField("done", 0, 1, "a program has ended without an error"),
    RegisterField("error", 1, 1, "a program has failed"),
    RegisterField("token", 2, 1, "a token can be read"),
)


def _counter_registers():
    for index, (name, doc) in enumerate(COUNTERS):
        offset = _COUNTER_BASE + 8 * index
        yield Register(f"{name}_LO", offset, "ro", 0, f"{doc}; lower half. Reading it latches the upper half")
        yield Register(
            f"{name}_HI", offset + 4, "ro", 0, "upper half of the counter whose lower half was read last"
        )


REGISTERS = (
    Register("ID", 0x00, "ro", IDENTIFICATION, "`TEPN`, the first letter in the highest byte"),
    Register("ISA_VERSION", 0x04, "ro", None, "version of the instruction set"),
    Register(
        "CONFIG_HASH", 0x08, "ro", None, "fingerprint of the chip's configuration; programs carry the same"
    ),
    Register(
        "CONTROL",
        0x0C,
        "wo",
        0,
        "starts and stops programs",
        (
            RegisterField("start", 0, 1, "run the program; the write fails while one runs"),
            RegisterField("stop", 1, 1, "end the program with the error STOPPED"),
        ),
    ),
    Register(
        "STATUS",
        0x10,
        "ro",
        0,
        "what the chip does",
        (
            RegisterField("busy", 0, 1, "a program runs, or the chip cleans up behind one"),
            RegisterField("done", 1, 1, "the last program has ended without an error"),
            RegisterField(
                "error", 2, 1, "the program has failed; `busy` falls when the chip is ready for the next"
            ),
            RegisterField("token", 3, 1, "a token can be read"),
        ),
    ),
    Register("ERROR", 0x14, "ro", 0, "ErrorCode of the last program"),
    Register("ERROR_PC", 0x18, "ro", 0, "word number of the instruction that failed"),
    Register("ERROR_INFO", 0x1C, "ro", 0, "offending address or value"),
    Register(
        "TOKEN",
        0x20,
        "ro",
        0,
        "takes the oldest token out of the token FIFO",
        (
            RegisterField("value", 0, 31, "the lower bits of what the program pushed"),
            RegisterField("valid", 31, 1, "there was a token; otherwise the value is zero"),
        ),
    ),
    Register("TOKEN_LEVEL", 0x24, "ro", 0, "tokens in the token FIFO; a start does not discard them"),
    Register("IRQ_ENABLE", 0x28, "rw", 0, "which events raise the interrupt line", _EVENTS),
    Register(
        "IRQ_STATUS",
        0x2C,
        "rw",
        0,
        "events that have happened; writing a 1 clears the bit (`token` clears itself when the FIFO is empty)",
        _EVENTS,
    ),
    Register(
        "WATCHDOG",
        0x30,
        "rw",
        1 << 20,
        "cycles without progress after which a program fails; 0 switches it off",
    ),
    Register("START_PC", 0x34, "rw", 0, "word number at which programs start"),
    Register("PROGRAM_ADDRESS", 0x38, "rw", 0, "word number that PROGRAM_DATA accesses"),
    Register(
        "PROGRAM_DATA",
        0x3C,
        "rw",
        None,
        "a word of the program memory; each access moves PROGRAM_ADDRESS on by one. Fails past "
        "the end of the memory; reading fails while a program runs, too",
        idle=True,
    ),
    Register(
        "READ_BASE",
        0x40,
        "rw",
        _WORD_MAXIMUM,
        "first byte of memory that the chip may read; nothing, if above READ_LIMIT",
        idle=True,
    ),
    Register("READ_LIMIT", 0x44, "rw", 0, "last byte of memory that the chip may read", idle=True),
    Register(
        "WRITE_BASE",
        0x48,
        "rw",
        _WORD_MAXIMUM,
        "first byte of memory that the chip may write; nothing, if above WRITE_LIMIT",
        idle=True,
    ),
    Register("WRITE_LIMIT", 0x4C, "rw", 0, "last byte of memory that the chip may write", idle=True),
    Register(
        "PARITY_ERRORS",
        0x50,
        "ro",
        0,
        "lines read from the scratchpad with a wrong parity bit since the reset; stops 31 below 2^32 at the earliest. "
        "Only in chips with parity bits, SLVERR in others",
    ),
    *_counter_registers(),
)
"""All registers, by offset in bytes. Any other offset is answered with SLVERR."""


def register(name):
    """The register of that name; `KeyError` if there is none."""
    return _BY_NAME[name]


_BY_NAME = {entry.name: entry for entry in REGISTERS}
