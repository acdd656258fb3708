# SPDX-License-Identifier: Apache-2.0
"""Drivers and a contract checker for the streams of a design in a cocotb simulation.

`StreamSource` and `StreamSink` move items with random pauses; `StreamChecker` watches any stream, driven by
these or not, and `check_streams` puts one on every stream port of the design, AXI channels included.

In a cocotb test:

    await start(dut)
    check_streams(dut)
    source = StreamSource(dut, "i", pause=0.3)
    sink = StreamSink(dut, "o", pause=0.5)
    source.send([1, 2, 3])
    assert await sink.receive(3) == [1, 2, 3]
"""

import re
from collections import deque

import cocotb
from amaranth.hdl import Const, Shape
from cocotb.clock import Clock
from cocotb.triggers import Event, FallingEdge, RisingEdge, Timer

from tepin_testbench import options, runner

__all__ = ["start", "StreamSource", "StreamSink", "StreamChecker", "StreamError", "check_streams"]

_PERIOD_NS = 10


async def start(dut, *, cycles=2):
    """Holds every input at zero and the design in reset, starts its clock, and releases it after `cycles`.

    Returns just after a clock edge. A design without a clock or a reset gets none.
    """
    for name, (_, direction) in runner.ports().items():
        if direction == "input":
            getattr(dut, name).value = 0
    # Inputs and reset are set before the first edge, or the design starts from whatever it finds.
    if hasattr(dut, "rst"):
        dut.rst.value = 1
    if hasattr(dut, "clk"):
        dut.clk.value = 0
        cocotb.start_soon(Clock(dut.clk, _PERIOD_NS, unit="ns").start(start_high=False))
        for _ in range(cycles):
            await RisingEdge(dut.clk)
    if hasattr(dut, "rst"):
        dut.rst.value = 0


class _End:
    """One end of a stream of the design: its signals and how items become bits."""

    def __init__(self, dut, name, shape, pause):
        self.pause = pause
        self._clock = dut.clk
        self._valid = getattr(dut, f"{name}__valid")
        self._ready = getattr(dut, f"{name}__ready")
        self._payload = getattr(dut, f"{name}__payload")
        self._codec = _Codec(shape, len(self._payload))


class StreamSource(_End):
    """Feeds a stream input of the design.

    Parameters
    ----------
    dut : handle
        The design, with the ports `<name>__valid`, `<name>__ready`, `<name>__payload` and the clock `clk`.
    name : str
        Name of the stream.
    shape : shape-like, optional
        How items are turned into bits: any Amaranth shape. By default they are unsigned integers.
    pause : float
        Probability, in each cycle, of offering nothing although there are items left. May be changed at any
        time.
    """

    def __init__(self, dut, name, *, shape=None, pause=0.0):
        super().__init__(dut, name, shape, pause)
        self._queue = deque()
        self._empty = Event()
        self._empty.set()
        self._rng = options.generator(cocotb.RANDOM_SEED, "source", name)
        cocotb.start_soon(self._run())

    def send(self, items):
        """Queues items. They are offered in order, one at a time."""
        self._queue.extend(map(self._codec.encode, items))
        if self._queue:
            self._empty.clear()

    async def drained(self):
        """Returns when the design has taken every item."""
        await self._empty.wait()

    async def _run(self):
        offering = False
        while True:
            await RisingEdge(self._clock)
            if offering and self._ready.value == 1:
                self._queue.popleft()
                offering = False
                if not self._queue:
                    self._empty.set()
            if not offering:
                offering = bool(self._queue) and self._rng.random() >= self.pause
                self._valid.value = int(offering)
                # The payload is noise while it does not count, so that a design that looks at it is found
                # out.
                self._payload.value = self._queue[0] if offering else self._codec.noise(self._rng)


class StreamSink(_End):
    """Takes from a stream output of the design.

    Parameters
    ----------
    dut, name, shape
        As in `StreamSource`.
    pause : float
        Probability, in each cycle, of not being ready. May be changed at any time.
    probe : bool
        In some cycles, turns `ready` over for an instant between two clock edges, and raises `StreamError` if
        `valid` follows: it must not depend combinationally on `ready`.
    """

    def __init__(self, dut, name, *, shape=None, pause=0.0, probe=True):
        super().__init__(dut, name, shape, pause)
        self._name = name
        self._items = deque()
        self._arrived = Event()
        self._rng = options.generator(cocotb.RANDOM_SEED, "sink", name)
        cocotb.start_soon(self._run())
        if probe:
            cocotb.start_soon(self._probe())

    async def receive(self, count):
        """The next `count` items, in a list, as soon as they have all come."""
        while len(self._items) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return [self._items.popleft() for _ in range(count)]

    def waiting(self):
        """Number of items that have come and have not been asked for."""
        return len(self._items)

    async def _run(self):
        ready = False
        while True:
            await RisingEdge(self._clock)
            if ready and self._valid.value == 1:
                self._items.append(self._codec.decode(int(self._payload.value)))
                self._arrived.set()
            ready = bool(self._rng.random() >= self.pause)
            self._ready.value = int(ready)

    async def _probe(self):
        while True:
            await FallingEdge(self._clock)
            if self._rng.random() < 0.1:
                before = str(self._valid.value)
                ready = int(self._ready.value)
                self._ready.value = 1 - ready
                await Timer(1, unit="ns")
                after = str(self._valid.value)
                self._ready.value = ready
                if before != after:
                    raise StreamError(
                        self._name, f"valid went from {before} to {after} when only ready changed"
                    )


class StreamError(AssertionError):
    """A stream broke its contract. The message says which one, when, and how."""

    def __init__(self, name, message):
        super().__init__(f"stream {name} at {cocotb.utils.get_sim_time('ns'):.0f} ns: {message}")


class StreamChecker:
    """Watches a stream and raises `StreamError` in the cycle in which it breaks its contract.

    The contract: outside of reset `valid` and `ready` are 0 or 1 (to be seen in a simulator that knows X);
    once `valid` is high it stays high until the transfer; the payload is known and does not change while it
    waits.

    Parameters
    ----------
    dut : handle
        The design, with the clock `clk` and, if it has one, the reset `rst`.
    name : str
        Name for messages.
    valid, ready : handle
        Either may be None if the stream has no such signal because it is always high.
    payload : handle or list of handles
        All that has to hold still.
    unless : handle, optional
        A signal that permits `valid` to fall in the cycle after one in which it was high, such as a clear
        input.

    Attributes
    ----------
    transfers : int
        Number of items moved so far.
    """

    def __init__(self, dut, name, *, valid, ready, payload, unless=None):
        self.name = name
        self.transfers = 0
        self._clock = dut.clk
        self._reset = getattr(dut, "rst", None)
        self._valid = valid
        self._ready = ready
        self._payload = payload if isinstance(payload, list) else [payload]
        self._unless = unless
        cocotb.start_soon(self._run())

    async def _run(self):
        waiting = None  # The payload of an item that was offered in the last cycle, and not taken.
        while True:
            await RisingEdge(self._clock)
            if self._reset is not None and str(self._reset.value) != "0":
                waiting = None
                continue
            valid = self._bit("valid", self._valid)
            ready = self._bit("ready", self._ready)
            payload = " ".join(str(signal.value) for signal in self._payload)
            if waiting is not None and not valid:
                raise StreamError(self.name, "valid fell before the item was taken")
            if waiting is not None and payload != waiting:
                raise StreamError(
                    self.name, f"the payload went from {waiting} to {payload} before it was taken"
                )
            if valid and re.search("[^01 ]", payload):
                raise StreamError(self.name, f"the payload is not known: {payload}")
            self.transfers += valid and ready
            forgiven = self._unless is not None and self._unless.value == 1
            waiting = payload if valid and not ready and not forgiven else None

    def _bit(self, what, signal):
        value = "1" if signal is None else str(signal.value)
        if value not in ("0", "1"):
            raise StreamError(self.name, f"{what} is {value}")
        return int(value)


def check_streams(dut, *, unless=None, skip=()):
    """Puts a `StreamChecker` on every stream port and every AXI channel of the design.

    Parameters
    ----------
    unless : mapping from str to handle, optional
        `unless` of the checkers, by name of the stream.
    skip : collection of str
        Streams to leave alone.

    Returns
    -------
    dict
        The checkers by name of the stream; that of an AXI channel is like `m_axi_aw`.
    """
    unless = unless or {}
    ports = runner.ports()
    checkers = {}
    for port in ports:
        if port.endswith("__valid"):
            name, separator = port.removesuffix("__valid"), "__"
            payload = [f"{name}__payload"]
        elif match := re.fullmatch(r"([ms]_axil?(?:_\w+)?_(?:aw|w|b|ar|r)|[ms]_axis(?:_\w+)?_t)valid", port):
            name, separator = match[1], ""
            payload = [other for other in ports if re.fullmatch(rf"{name}(?!valid|ready)[a-z]+", other)]
        else:
            continue
        if name not in skip:
            checkers[name] = StreamChecker(
                dut,
                name,
                valid=getattr(dut, port),
                ready=getattr(dut, f"{name}{separator}ready", None),
                payload=[getattr(dut, other) for other in payload],
                unless=unless.get(name),
            )
    return checkers


class _Codec:
    """Items to bits and back, by an Amaranth shape."""

    def __init__(self, shape, width):
        self._shape = shape
        self._width = width
        if shape is not None and Shape.cast(shape).width != width:
            raise ValueError(f"The shape {shape!r} has {Shape.cast(shape).width} bits, the port {width}")

    def encode(self, item):
        if self._shape is None:
            bits = int(item)
            if not 0 <= bits < 1 << self._width:
                raise ValueError(f"{item!r} does not fit into {self._width} unsigned bits")
            return bits
        return _unsigned(Const(item, self._shape))

    def decode(self, bits):
        if self._shape is None:
            return bits
        if isinstance(self._shape, Shape | int | range):
            shape = Shape.cast(self._shape)
            return bits - (1 << shape.width) if shape.signed and bits >> (shape.width - 1) else bits
        return self._shape.from_bits(bits)

    def noise(self, rng):
        return int.from_bytes(rng.bytes((self._width + 7) // 8), "little") & ((1 << self._width) - 1)


def _unsigned(constant):
    """The bits of a constant of any shape, as an unsigned integer."""
    value = constant if isinstance(constant, Const) else constant.as_value()
    return value.value & ((1 << len(value)) - 1)
