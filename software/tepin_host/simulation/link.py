# SPDX-License-Identifier: Apache-2.0
"""Two `SerialLink`s, compiled, and lines between them that make errors."""

import ctypes
import functools
from pathlib import Path

from tepin.link.serial_link import SerialLink
from tepin_host.simulation.build import cached_verilog
from tepin_host.simulation.compile import Harness, compile_library
from tepin_host.simulation.native import load

__all__ = ["ERRORS", "PAYLOADS", "LinkSimulator", "build_link_simulator"]

_HERE = Path(__file__).parent
_NAME = "tepin_link"
_WORD_BITS = 64

PAYLOADS = ("random", "idles", "frames")
"""What words may be: noise; mostly idle units; mostly frames, right but for the nonce, among idle units."""

ERRORS = {
    "BER 1e-6": {"bit_error_rate": 1e-6},
    "BER 1e-5": {"bit_error_rate": 1e-5},
    "BER 1e-4": {"bit_error_rate": 1e-4},
    "BER 1e-3": {"bit_error_rate": 1e-3},
    "bursts of 20 beats": {"burst_interval": 5e3, "burst_beats": 20},
    "lane stuck for 1000 beats": {"stuck_interval": 2e4, "stuck_beats": 1000},
    "clock slips": {"slip_interval": 5e4},
    "cable pulled and put back": {"pull_interval": 1e5, "pull_beats": 20_000},
    "all of these": {
        "bit_error_rate": 1e-5,
        "burst_interval": 2e4,
        "burst_beats": 20,
        "stuck_interval": 1e5,
        "stuck_beats": 1000,
        "slip_interval": 1e5,
        "pull_interval": 1e6,
        "pull_beats": 20_000,
    },
}
"""What lines may do, as settings of `LinkSimulator.set_line`."""


class _Structure(ctypes.Structure):
    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name, _ in self._fields_)})"


class _Line(_Structure):
    _fields_ = [
        *(
            (name, ctypes.c_double)
            for name in (
                "bit_error_rate",
                "burst_interval",
                "stuck_interval",
                "slip_interval",
                "pull_interval",
            )
        ),
        *((name, ctypes.c_uint32) for name in ("burst_beats", "stuck_beats", "pull_beats", "delay")),
        *((name, ctypes.c_uint8 * 8) for name in ("skew", "source", "inverted")),
    ]


class _Traffic(_Structure):
    _fields_ = [
        ("words", ctypes.c_uint64),
        ("source_pause", ctypes.c_double),
        ("sink_pause", ctypes.c_double),
        ("spacing", ctypes.c_uint32),
        ("payload", ctypes.c_uint32),
    ]


class _Direction(_Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "sent", "received", "wrong", "cycles", "flipped", "bursts", "stuck", "slips", "pulls", "latency_min",
            "latency_max", "latency_sum",
        )
    ]  # fmt: skip


class _Side(_Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("up", "broken", "errors", "replays", "retrains")]


def build_link_simulator(*, lanes=8, progress=None, text=None, **settings):
    """Path of the shared library that simulates a link.

    Parameters
    ----------
    lanes : int
    progress : callable(str), optional
    text : str, optional
        Verilog of module `tepin_link` to use instead of that of the link: a mutant.
    settings
        Further parameters of `SerialLink`. Words have 64 bits.

    Raises
    ------
    UserError
        If a tool is missing or the build fails.
    """
    settings = {"lanes": lanes, "word_bits": _WORD_BITS, **settings}
    text = text or cached_verilog(_NAME, settings, lambda: SerialLink(**settings), progress=progress)
    harness = Harness(
        top="link_side",
        wrapper=_HERE / "link.sv",
        source=_HERE / "link.cpp",
        parameters={"LANES": lanes, "WORD_BITS": _WORD_BITS},
    )
    return compile_library(text, harness, progress=progress)


@functools.cache
def _library(path):
    word, long, handle, pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.POINTER
    functions = (
        ("create", handle, [word, long]),
        ("destroy", None, [handle]),
        ("line", None, [handle, word, pointer(_Line)]),
        ("traffic", None, [handle, word, pointer(_Traffic)]),
        ("reset", None, [handle, word, word]),
        ("run", long, [handle, long]),
        ("wait", None, [handle, long]),
        ("result", None, [handle, word, pointer(_Direction)]),
        ("side", None, [handle, word, pointer(_Side)]),
    )
    return load(path, "tepin_link_", functions)


class LinkSimulator:
    """Sides 0 and 1, cycle by cycle; direction d goes from side d to the other one. Time passes in `run` and `wait`.

    There is one register between the pins of the two sides, that of an input.

    Parameters
    ----------
    library : path
        What `build_link_simulator` returned.
    lanes : int
        What it was built for.
    seed : int
        Of payload, pauses and errors.
    """

    def __init__(self, library, *, lanes=8, seed=0):
        self._library = _library(library)
        self._lanes = lanes
        self._handle = self._library.tepin_link_create(lanes, seed)
        for direction in (0, 1):
            self.set_line(direction)

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.tepin_link_destroy(self._handle)
            self._handle = None

    def set_line(self, direction, *, skew=None, source=None, inverted=None, **settings):
        """What happens on the line from now on.

        Parameters
        ----------
        direction : int
        skew, source, inverted : sequence, optional
            For each lane of the receiver: bits by which it is later; which lane of the sender it is; whether it is
            inverted.
        settings
            `bit_error_rate`; `burst_interval`, `stuck_interval`, `slip_interval`, `pull_interval`, mean beats between
            these; `burst_beats`, `stuck_beats`, `pull_beats`, how long they last; `delay` in beats.
        """
        line = _Line(**settings)
        for name, values in (
            ("skew", skew or [0] * self._lanes),
            ("source", source or range(self._lanes)),
            ("inverted", inverted or [0] * self._lanes),
        ):
            getattr(line, name)[: self._lanes] = [int(value) for value in values]
        self._library.tepin_link_line(self._handle, direction, line)

    def send(self, direction, words, *, source_pause=0.0, sink_pause=0.0, spacing=0, payload="random"):
        """Have more words sent: with random pauses, or `spacing` to twice as many cycles apart."""
        traffic = _Traffic(words, source_pause, sink_pause, spacing, PAYLOADS.index(payload))
        self._library.tepin_link_traffic(self._handle, direction, traffic)

    def reset(self, side, level):
        """Hold a side in reset, or let go of it."""
        self._library.tepin_link_reset(self._handle, side, level)

    def run(self, cycles):
        """Until all words have come, or a wrong one has, at most so many cycles; returns the cycles."""
        return self._library.tepin_link_run(self._handle, cycles)

    def wait(self, cycles):
        """Let time pass."""
        self._library.tepin_link_wait(self._handle, cycles)

    def result(self, direction):
        """What a direction has carried: `sent`, `received`, `wrong`, `cycles` from the first word in to the last one
        out; what the line did: `flipped`, `bursts`, `stuck`, `slips`, `pulls`; `latency_min`, `latency_max`,
        `latency_sum`.
        """
        result = _Direction()
        self._library.tepin_link_result(self._handle, direction, result)
        return result

    def side(self, side):
        """Its status: `up`, `broken`, `errors`, `replays`, `retrains`."""
        result = _Side()
        self._library.tepin_link_side(self._handle, side, result)
        return result
