# SPDX-License-Identifier: Apache-2.0
"""A compiled simulation of a chip that tells what every register, memory output and input holds in every cycle.

It is the simulation that `tepin run` uses, on the Verilog that `tepin verilog` writes.
"""

import ctypes
from pathlib import Path

import numpy as np

from tepin_host import simulation
from tepin_host.simulation import ChipSimulator
from tepin_host.simulation.compile import Harness, compile_library

__all__ = ["Recorder", "sources"]

_SIMULATION = Path(simulation.__file__).parent


def sources(flat):
    """What the gates of a `Flat` design depend on in a cycle: {net: (path in the Verilog, bit or None)}, in order."""
    result = {}
    for port, nets in flat.inputs.items():
        result |= _bits(port, nets)
    for path, _, _, ports in flat.memories:
        for port, nets in ports.items():
            if port.startswith("r") and port.endswith("_data"):
                result |= _bits(f"{path}.{port}", nets)
    result |= flat.registers
    return result


def _bits(path, nets):
    single = len(nets) == 1
    return {net: (path, None if single else bit) for bit, net in enumerate(nets)}


class Recorder(ChipSimulator):
    """A simulated chip.

    Parameters
    ----------
    config : ChipConfig
    memory : uint8 array
    text : str
        Its Verilog.
    places : list of (path in the Verilog, bit or None)
        What is recorded.
    latency : int
        As of `ChipSimulator`.
    progress : callable(str), optional
    """

    def __init__(self, config, memory, text, places, *, latency=100, progress=None):
        self._words = -(-len(places) // 32)
        harness = Harness(
            top="harness",
            wrapper=_SIMULATION / "harness.sv",
            source=_SIMULATION / "recorder.cpp",
            models=(_SIMULATION / "recorder.sv",),
            parameters={"WIDTH": config.port_width},
            defines={"PORT_BYTES": config.port_bytes, "ACTIVITY_WORDS": self._words},
            headers=tuple(_SIMULATION / name for name in ("harness.cpp", "links.h")),
            optimise="-O0",
            files={"activity_signals.svh": _statements(places)},
        )
        super().__init__(
            config, memory, latency=latency, library=compile_library(text, harness, progress=progress)
        )
        handle, words = ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)
        self._library.tepin_activity_record.argtypes = [handle, ctypes.c_int]
        self._library.tepin_activity_forget.argtypes = [handle]
        self._library.tepin_activity.argtypes = [handle, ctypes.POINTER(words)]
        self._library.tepin_activity.restype = ctypes.c_uint64

    def record(self, on):
        """Keep what the next cycles bring, or no longer."""
        self._library.tepin_activity_record(self._handle, on)

    def recorded(self):
        """What has been kept since the last call: uint32 [cycles, words]. Bit b of word w is `places[32 * w + b]`."""
        words = ctypes.POINTER(ctypes.c_uint32)()
        count = self._library.tepin_activity(self._handle, ctypes.byref(words))
        kept = np.ctypeslib.as_array(words, (count,)).copy() if count else np.zeros(0, np.uint32)
        self._library.tepin_activity_forget(self._handle)
        return kept.reshape(-1, self._words)


def _statements(places):
    """Verilog that puts bits of variables into `words`, 32 into each."""
    lines = []
    for word, start in enumerate(range(0, len(places), 32)):
        parts = []
        for path, bit in places[start : start + 32]:
            if parts and bit is not None and parts[-1][0] == path and parts[-1][2] == bit - 1:
                parts[-1][2] = bit
            else:
                parts.append([path, bit, bit])
        texts = [_slice(*part) for part in reversed(parts)]
        unused = 32 - len(places[start : start + 32])
        texts = [f"{unused}'d0", *texts] if unused else texts
        lines.append(f"    words[{word}] = {{{', '.join(texts)}}};")
    return "\n".join(lines) + "\n"


def _slice(path, low, high):
    name = f"harness.chip.{path}"
    if low is None:
        return name
    return f"{name}[{high}:{low}]" if high > low else f"{name}[{low}]"
