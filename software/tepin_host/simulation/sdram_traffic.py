# SPDX-License-Identifier: Apache-2.0
"""An SDRAM behind the RTL of its controller, compiled, with a master that never pauses."""

import ctypes
import functools
from pathlib import Path

from tepin_host.simulation.compile import Harness, compile_library
from tepin_host.simulation.native import load
from tepin_host.simulation.sdram import WRAPPER

__all__ = ["SdramTraffic", "build_sdram_traffic"]


class _Result(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("cycles", "read", "written", "refreshes", "wrong")),
        *((name, ctypes.c_uint32) for name in ("violations", "reserved")),
    ]


def build_sdram_traffic(memory, *, progress=None):
    """Path of the library; `memory` is a `SdramMemory`. Raises `UserError` if a tool is missing."""
    harness = Harness(
        top="sdram_memory",
        wrapper=WRAPPER,
        source=Path(__file__).with_name("sdram_traffic.cpp"),
        models=memory.models[1:],
        parameters={"WIDTH": memory.part.data_width},
        defines={**memory.defines, "PORT_BYTES": memory.part.data_width // 8},
        files=memory.files,
    )
    return compile_library(memory.verilog(progress), harness, progress=progress)


@functools.cache
def _library(path):
    word, long, handle, result = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.POINTER(_Result)
    functions = (
        ("create", handle, [long, word]),
        ("destroy", None, [handle]),
        ("run", None, [handle, long, word, word, word, result]),
        ("finish", None, [handle, result]),
    )
    return load(path, "tepin_traffic_", functions)


class SdramTraffic:
    """A new SDRAM with its controller, after power-up.

    Parameters
    ----------
    memory : SdramMemory
    library : path
        What `build_sdram_traffic` returned.
    seed : int
    """

    def __init__(self, memory, library, *, seed=1):
        self._library, self._result = _library(library), _Result()
        words = 8 * memory.part.bytes // memory.part.data_width
        self._handle = self._library.tepin_traffic_create(words, seed)

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.tepin_traffic_destroy(self._handle)
            self._handle = None

    def run(self, cycles, *, burst, write=False, period=0):
        """Linear bursts for so many cycles. Returns what there has been since power-up, as does `finish`:

        `cycles`, beats `read` and `written`, `refreshes`, `wrong` (beats with other data than they should have had),
        `violations` of the part, of which the first ends the run. With a `period`, in each such time a read of 16 beats and
        writes of 16 and 8 beats go anywhere.
        """
        self._library.tepin_traffic_run(
            self._handle, cycles, burst, write, period, ctypes.byref(self._result)
        )
        return _Result.from_buffer_copy(self._result)

    def finish(self):
        """Wait for all answers, and compare the memory, word by word, with what it has to hold."""
        self._library.tepin_traffic_finish(self._handle, ctypes.byref(self._result))
        return _Result.from_buffer_copy(self._result)
