# SPDX-License-Identifier: Apache-2.0
"""A simulated chip and its memory, from Python."""

import ctypes
import functools

import numpy as np

from tepin_host.errors import UserError
from tepin_host.simulation.build import build_simulator
from tepin_host.simulation.native import load, taken_words
from tepin_host.simulation.trace import Trace

__all__ = ["ChipSimulator", "join", "wire"]


@functools.cache
def _library(path):
    word, long, handle = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
    functions = (
        ("create", handle, [ctypes.c_void_p, long, long]),
        ("destroy", None, [handle]),
        ("write", ctypes.c_int, [handle, word, word]),
        ("read", ctypes.c_int, [handle, word, ctypes.POINTER(word)]),
        ("run", long, [handle, long]),
        ("cycle", long, [handle]),
        ("observed", long, [handle, ctypes.POINTER(ctypes.POINTER(word))]),
        ("forget", None, [handle]),
        ("reset", None, [handle]),
        ("fault", None, [handle, long, long]),
        ("stall", None, [handle, word, word]),
        ("join", None, [ctypes.POINTER(handle), long]),
        ("link", None, [handle, word, handle, word, long, long]),
        ("cut", None, [handle, word]),
        ("wire", None, [handle, word, handle, word, ctypes.c_double, long]),
        ("link_status", None, [handle, word, ctypes.POINTER(long)]),
    )
    of_some_builds = (
        ("sdram_memory", handle, [handle]),
        ("sdram_start", ctypes.c_int, [handle, long]),
        ("sdram_refreshes", long, [handle]),
        ("sdram_violations", word, [handle]),
        ("trace", None, [handle, ctypes.POINTER(handle), ctypes.POINTER(long), ctypes.POINTER(long)]),
    )
    return load(path, "tepin_", functions, optional=of_some_builds)


class ChipSimulator:
    """The RTL of one chip, cycle by cycle, with an AXI4 memory.

    Parameters
    ----------
    config : ChipConfig
    memory : uint8 array
        External memory from address 0, shared with the simulation, which changes it.
    latency : int
        Cycles from a read's address to its first beat, and from a write's last beat to its response.
        Of no meaning with `sdram`.
    library : path, optional
        What `build_simulator` returned; by default it is called for `config`.
    sdram : SdramMemory, optional
        The memory that the library was built with. `memory` is copied to its beginning.

    Attributes
    ----------
    accesses : int
        Register reads and writes so far.
    """

    def __init__(self, config, memory, *, latency=100, library=None, sdram=None):
        if memory.dtype != np.uint8 or not memory.flags.c_contiguous:
            raise TypeError("memory must be a contiguous array of uint8")
        self.config = config
        self.memory = memory  # Keeps the buffer alive as long as the simulation.
        self.accesses = 0
        self._library = _library(library or build_simulator(config))
        self._handle = self._library.tepin_create(memory.ctypes.data, len(memory), latency)
        self._sdram = sdram
        if sdram:
            self._fill(sdram)

    def _fill(self, sdram):
        """Wait until the SDRAM is initialised, and put the memory there."""
        if len(self.memory) > sdram.part.bytes:
            raise UserError(
                f"the model takes {len(self.memory):,} bytes of memory, the SDRAM has {sdram.part.bytes:,}"
            )
        if not self._library.tepin_sdram_start(self._handle, 4 * sdram.timing.power_up):
            raise RuntimeError("the SDRAM is not initialised in time")
        place = ctypes.cast(self._library.tepin_sdram_memory(self._handle), ctypes.POINTER(ctypes.c_uint8))
        inside = np.ctypeslib.as_array(place, (sdram.part.bytes,))
        inside[: len(self.memory)] = self.memory
        self.memory = inside[: len(self.memory)]

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.tepin_destroy(self._handle)
            self._handle = None

    def write(self, address, value):
        """Write a register; `RuntimeError` if the chip refuses."""
        self.accesses += 1
        response = self._library.tepin_write(self._handle, address, value)
        if response:
            raise RuntimeError(f"write of {value:#x} to register {address:#x}: response {response}")

    def read(self, address):
        """Read a register; `RuntimeError` if the chip refuses."""
        self.accesses += 1
        value = ctypes.c_uint32()
        response = self._library.tepin_read(self._handle, address, ctypes.byref(value))
        if response:
            raise RuntimeError(f"read of register {address:#x}: response {response}")
        return value.value

    def run(self, cycles):
        """Let the clock run until the chip raises its interrupt, at most `cycles`; returns the cycles run.

        Raises
        ------
        UserError
            If the SDRAM has been used wrongly: how.
        """
        result = self._library.tepin_run(self._handle, cycles)
        violations = self._library.tepin_sdram_violations(self._handle) if self._sdram else 0
        if violations:
            names = [name for bit, name in enumerate(self._sdram.violations) if violations >> bit & 1]
            raise UserError(
                f"the SDRAM was used wrongly, by cycle {self.cycle:,}: violated {', '.join(names)}"
            )
        return result

    @property
    def refreshes(self):
        """REFRESH commands to the SDRAM since power-up."""
        return self._library.tepin_sdram_refreshes(self._handle)

    def trace(self):
        """The `Trace` of what has been recorded since the first start, if the library was built for that."""
        return Trace.read(self.config, self._library.tepin_trace, self._handle)

    @property
    def cycle(self):
        """Clock cycles since power-up."""
        return self._library.tepin_cycle(self._handle)

    def observed(self):
        """Words that left through the probe port since the last call, uint32."""
        return taken_words(self._library.tepin_observed, self._library.tepin_forget, self._handle)

    def reset(self):
        """Reset the chip and the memory's port, whatever is under way; the memory keeps what it holds."""
        self._library.tepin_reset(self._handle)

    def fault(self, base, limit):
        """Answer accesses to [base, limit) with SLVERR from now on."""
        self._library.tepin_fault(self._handle, base, limit)

    def stall(self, percent, seed=0):
        """Withhold the memory's handshakes in `percent` of the cycles from now on."""
        self._library.tepin_stall(self._handle, percent, seed)

    def cut(self, port):
        """Let nothing pass through the link of this port any more."""
        self._library.tepin_cut(self._handle, port)

    def link_status(self, port):
        """Of a serial link: bits flipped on the way to it, wrong frames, replays, retrainings."""
        counts = (ctypes.c_uint64 * 4)()
        self._library.tepin_link_status(self._handle, port, counts)
        return dict(zip(("flipped", "errors", "replays", "retrains"), counts, strict=True))


def wire(simulators, network, *, bit_error_rate=0.0, seed=0):
    """As `join`, for chips with serial links: connect their lanes, on which bits are flipped at this rate."""
    library, handles = simulators[0]._library, [simulator._handle for simulator in simulators]
    library.tepin_join((ctypes.c_void_p * len(handles))(*handles), len(handles))
    for index, ((one, one_port), (other, other_port)) in enumerate(network.wires()):
        library.tepin_wire(
            handles[one], one_port, handles[other], other_port, bit_error_rate, 1000 * seed + index
        )


def join(simulators, network, *, latency=20, capacity=128):
    """Wire chips to each other. From then on they run together, whichever of them is told to run.

    Parameters
    ----------
    simulators : list of ChipSimulator
        Of one configuration, new.
    network : tepin_reference.network.Network
    latency : int
        Cycles from one chip's port to the other's, at least 2. Credits take as long to come back.
    capacity : int
        Words of 64 bits that a link holds in each direction: below twice the latency it cannot pass a word per cycle.
    """
    if latency < 2:
        raise ValueError(f"the latency of a link must be at least 2 cycles, not {latency}")
    library, handles = simulators[0]._library, [simulator._handle for simulator in simulators]
    library.tepin_join((ctypes.c_void_p * len(handles))(*handles), len(handles))
    for (one, one_port), (other, other_port) in network.wires():
        library.tepin_link(handles[one], one_port, handles[other], other_port, latency, capacity)
