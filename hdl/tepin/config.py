# SPDX-License-Identifier: Apache-2.0
"""Chip configuration: the handful of numbers from which one RTL source makes every Tepin.

A `ChipConfig` is frozen and validated as a whole: every violation is reported, in words, in one `ValueError`. Components
never take a `ChipConfig`; `tepin.chip` hands each of them the few parameters it needs.
"""

import hashlib
from dataclasses import asdict, dataclass, fields, replace

from .isa import ISA_VERSION

__all__ = ["LINK_BYTES", "PRESETS", "ChipConfig", "parse_config"]

LINK_BYTES = 8
"""Bytes of a word on a link between chips."""


def _is_power_of_two(value):
    return value > 0 and value & (value - 1) == 0


def _next_power_of_two(value):
    return 1 << (value - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class ChipConfig:
    """Everything that distinguishes one generated chip from another.

    Results of programs do not depend on any of these numbers, except that the memory image is laid out for `columns`
    and `port_width`.

    Parameters
    ----------
    rows, columns : int
        Systolic array of `rows` x `columns` multipliers; takes in `columns` weights per cycle. `rows` even.
    activation_width : int
        8: an int16 activation passes the array as two int8 rows; 16: as one.
    accumulator_rows : int
        Most activation rows (M) of one matmul instruction.
    lanes : int
        Float32 lanes of the vector unit.
    port_width : int
        Width of the memory port in bits.
    scratchpad_bytes, scratchpad_banks : int
        On-chip memory and the number of independently ported banks that it is divided into.
    program_words : int
        Program RAM in 32-bit words.
    weight_fifo_bytes : int
        Weight FIFO between memory port and weight decoder.
    queue_words : int
        Command queue of each engine in 32-bit words.
    outstanding : int
        Memory bursts in flight per direction.
    token_fifo_depth : int
        Tokens that wait for the host before the sequencer does.
    links : int
        Ports to other chips, 0 to 15; without any there is no link engine.
    drain_width : int
        int32 results that the matmul engine stores per cycle. Float32 results are stored one per cycle.
    parity : int
        1: every byte of the scratchpad has a parity bit, and a register counts the lines that are read with a wrong one.
    """

    rows: int = 8
    columns: int = 16
    activation_width: int = 8
    accumulator_rows: int = 8
    lanes: int = 4
    port_width: int = 64
    scratchpad_bytes: int = 65536
    scratchpad_banks: int = 4
    program_words: int = 4096
    weight_fifo_bytes: int = 16384
    queue_words: int = 256
    outstanding: int = 16
    token_fifo_depth: int = 16
    links: int = 0
    drain_width: int = 1
    parity: int = 0

    def __post_init__(self):
        problems = []

        def require(condition, message):
            if not condition:
                problems.append(message)

        for field in fields(self):
            value = getattr(self, field.name)
            require(
                isinstance(value, int) and not isinstance(value, bool),
                f"{field.name} must be an integer, not {value!r}",
            )
        if problems:
            raise ValueError("; ".join(problems))
        require(2 <= self.rows <= 64 and self.rows % 2 == 0, f"rows must be even, 2 to 64, not {self.rows}")
        require(
            4 <= self.columns <= 64 and self.columns % 4 == 0,
            f"columns must be a multiple of 4, 4 to 64, not {self.columns}",
        )
        require(
            self.activation_width in (8, 16), f"activation_width must be 8 or 16, not {self.activation_width}"
        )
        require(
            1 <= self.accumulator_rows <= 1024,
            f"accumulator_rows must be 1 to 1024, not {self.accumulator_rows}",
        )
        require(self.lanes in (1, 2, 4, 8, 16), f"lanes must be 1, 2, 4, 8 or 16, not {self.lanes}")
        require(
            self.port_width in (16, 32, 64, 128, 256, 512),
            f"port_width must be 16, 32, 64, 128, 256 or 512, not {self.port_width}",
        )
        require(
            _is_power_of_two(self.scratchpad_banks) and self.scratchpad_banks <= 16,
            f"scratchpad_banks must be 1, 2, 4, 8 or 16, not {self.scratchpad_banks}",
        )
        require(
            _is_power_of_two(self.scratchpad_bytes) and 4096 <= self.scratchpad_bytes <= 1 << 24,
            f"scratchpad_bytes must be a power of two, 4096 to 16777216, not {self.scratchpad_bytes}",
        )
        require(
            _is_power_of_two(self.program_words) and 1024 <= self.program_words <= 32768,
            f"program_words must be a power of two, 1024 to 32768, not {self.program_words}",
        )
        require(
            _is_power_of_two(self.weight_fifo_bytes) and 512 <= self.weight_fifo_bytes <= 1 << 20,
            f"weight_fifo_bytes must be a power of two, 512 to 1048576, not {self.weight_fifo_bytes}",
        )
        require(
            _is_power_of_two(self.queue_words) and 64 <= self.queue_words <= 4096,
            f"queue_words must be a power of two, 64 to 4096, not {self.queue_words}",
        )
        require(1 <= self.outstanding <= 64, f"outstanding must be 1 to 64, not {self.outstanding}")
        require(
            _is_power_of_two(self.token_fifo_depth) and 2 <= self.token_fifo_depth <= 1024,
            f"token_fifo_depth must be a power of two, 2 to 1024, not {self.token_fifo_depth}",
        )
        require(0 <= self.links <= 15, f"links must be 0 to 15, not {self.links}")
        require(
            _is_power_of_two(self.drain_width) and self.columns % self.drain_width == 0,
            f"drain_width must be a power of two that divides columns ({self.columns}), not {self.drain_width}",
        )
        require(self.parity in (0, 1), f"parity must be 0 or 1, not {self.parity}")
        if not problems:
            require(
                self.weight_fifo_bytes >= 4 * self.fifo_word_bytes,
                f"weight_fifo_bytes must hold at least 4 words of {self.fifo_word_bytes} bytes, "
                f"not {self.weight_fifo_bytes} bytes",
            )
            require(
                self.scratchpad_bytes >= 4 * self.scratchpad_banks * self.line_bytes,
                f"scratchpad_bytes must hold at least 4 lines of {self.line_bytes} bytes in each bank, "
                f"not {self.scratchpad_bytes} bytes",
            )
            require(
                self.links == 0 or self.line_bytes >= LINK_BYTES,
                f"links need scratchpad lines of at least {LINK_BYTES} bytes, not {self.line_bytes}",
            )
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def port_bytes(self):
        """Bytes that the memory port moves per cycle."""
        return self.port_width // 8

    @property
    def line_bytes(self):
        """Bytes that one scratchpad bank reads or writes per cycle: the widest need of any engine."""
        return _next_power_of_two(
            max(4 * self.lanes, self.columns, self.port_bytes, 2 * self.rows, 4 * self.drain_width)
        )

    @property
    def bank_bytes(self):
        """Bytes of one scratchpad bank; no access may cross from one bank into the next."""
        return self.scratchpad_bytes // self.scratchpad_banks

    @property
    def fifo_word_bytes(self):
        """Bytes of one weight FIFO word; weight streams are aligned to it."""
        return _next_power_of_two(max(self.port_bytes, self.columns))

    @property
    def hash(self):
        """32-bit fingerprint of the configuration and the instruction set; chip and program both carry it."""
        # What came to the configuration later is not in it where it changes nothing, so that older programs stay valid.
        values = asdict(self)
        for name, nothing in (("drain_width", 1), ("parity", 0)):
            if values[name] == nothing:
                del values[name]
        text = f"isa={ISA_VERSION};" + ";".join(f"{key}={value}" for key, value in values.items())
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def describe(self):
        """One line for tables: array, lanes, port."""
        return f"array={self.rows}x{self.columns} lanes={self.lanes} port={self.port_width}"


PRESETS = {
    "tiny": ChipConfig(
        rows=2, columns=8, accumulator_rows=4, lanes=2, port_width=32, scratchpad_bytes=32768,
        weight_fifo_bytes=2048, outstanding=8,
    ),
    "sim": ChipConfig(),
    "board": ChipConfig(
        rows=8, columns=8, lanes=2, port_width=16, scratchpad_bytes=65536, weight_fifo_bytes=4096,
        program_words=4096,
    ),
    "asic": ChipConfig(
        rows=32, columns=32, accumulator_rows=32, lanes=16, port_width=512, scratchpad_bytes=262144,
        scratchpad_banks=8, weight_fifo_bytes=65536, outstanding=32,
    ),
}  # fmt: skip
"""Named configurations: `tiny` for tests, `sim` for `tepin run`, `board` for a 16-bit SDRAM board, `asic`."""


def parse_config(text):
    """Make a configuration from `PRESET[,key=value...]`, the form used on the command line.

    Raises `ValueError` with every problem in words.
    """
    name, *settings = text.split(",")
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; presets are {', '.join(PRESETS)}")
    known = {field.name for field in fields(ChipConfig)}
    changes = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in known:
            raise ValueError(f"{setting!r} is not a setting; settings are {', '.join(sorted(known))}")
        try:
            changes[key] = int(value, 0)
        except ValueError:
            raise ValueError(f"{key} must be an integer, not {value!r}") from None
    return replace(PRESETS[name], **changes)
