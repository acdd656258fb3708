# SPDX-License-Identifier: Apache-2.0
"""A UART as two streams of bytes: eight data bits, lowest first, no parity, one stop bit (8N1)."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Component, In, Out

__all__ = ["UartReceiver", "UartTransmitter", "baud_error"]

_LEAST_CYCLES = 4
_PRECISION = 11  # bits of the phase step: its rounding is at most one part in 2**11


def _phase(clock_hz, baud):
    """(width of the phase accumulator, step per cycle), after a check of the arguments.

    Once per bit the accumulator overflows.
    """
    for name, value in (("Clock of a UART in Hz", clock_hz), ("Baud rate of a UART", baud)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be positive, not {value}")
    if clock_hz < _LEAST_CYCLES * baud:
        raise ValueError(
            f"Baud rate of a UART must be at most a quarter of the clock, {clock_hz} Hz, not {baud}"
        )
    width = (clock_hz // baud).bit_length() + _PRECISION
    return width, ((baud << width) + clock_hz // 2) // clock_hz


def baud_error(*, clock_hz, baud):
    """By what part the baud rate made from this clock is too fast: a number, negative if it is too slow.

    At most 2**-11. The place of each edge is rounded to a clock cycle as well, but that does not add up from bit to bit.
    """
    width, step = _phase(clock_hz, baud)
    return step * clock_hz / (baud << width) - 1


class _Uart(Component):
    """What both directions have in common: the width of the phase accumulator, and its step."""

    def __init__(self, ports, *, clock_hz, baud):
        self._width, self._step = _phase(clock_hz, baud)
        self._clock_hz = clock_hz
        self._baud = baud
        super().__init__(ports)

    @property
    def clock_hz(self):
        """Frequency of the clock."""
        return self._clock_hz

    @property
    def baud(self):
        """Bits per second."""
        return self._baud


class UartReceiver(_Uart):
    """Bytes from a serial line.

    The line passes a synchroniser and a majority vote over three clock cycles, so that a spike of one cycle is not seen. A
    falling edge starts a byte; if the line is high again half a bit later, that was none. Every bit is sampled in its
    middle. A byte without a stop bit is dropped, and the next one begins no earlier than the line has been high; so a break
    yields nothing. Sender and receiver may differ by 4 % in their rates, less what a clock cycle is of a bit.

    A byte that comes while the one before it has not been taken from `o` is lost.

    Latency from the middle of the stop bit to `o.valid`: 5 cycles. Cost: the phase accumulator (18 bits at 100 MHz and 3
    Mbaud) and some 25 flip-flops.

    Parameters
    ----------
    clock_hz : int
        Frequency of the domain `sync`.
    baud : int
        Bits per second, at most a quarter of the clock. See `baud_error`.

    Members
    -------
    rx : In(1)
        The line, asynchronous; high when idle.
    o : Out stream of 8-bit bytes
    """

    def __init__(self, *, clock_hz, baud):
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8))}, clock_hz=clock_hz, baud=baud)

    def elaborate(self, platform):
        m = Module()
        synchronised = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, synchronised, init=1)
        recent = Signal(2, init=0b11)
        line = Signal(init=1)
        m.d.sync += [
            recent.eq(Cat(synchronised, recent[0])),
            line.eq((synchronised & recent.any()) | recent.all()),
        ]

        phase = Signal(self._width)
        tick = Signal()
        m.d.comb += tick.eq((phase + self._step)[self._width])
        m.d.sync += phase.eq(phase + self._step)
        bits = Signal(8)
        # A one walks down as bits come in; where it falls out, all eight are there.
        marker = Signal(8)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += phase.eq(1 << (self._width - 1))
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                m.d.sync += marker.eq(0x80)
                with m.If(tick):
                    m.next = "IDLE"
                    with m.If(~line):
                        m.next = "DATA"
            with m.State("DATA"):
                with m.If(tick):
                    m.d.sync += [bits.eq(Cat(bits[1:], line)), marker.eq(marker >> 1)]
                    with m.If(marker[0]):
                        m.next = "STOP"
            with m.State("STOP"):
                with m.If(tick):
                    m.next = "IDLE"
                    with m.If(~line):
                        m.next = "BREAK"
                    with m.Elif(~self.o.valid | self.o.ready):
                        m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(bits)]
            with m.State("BREAK"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class UartTransmitter(_Uart):
    """Bytes to a serial line.

    A byte takes ten bits and up to two cycles. The line is a flip-flop and high when idle.

    Cost: the phase accumulator and some 15 flip-flops.

    Parameters
    ----------
    clock_hz, baud : int
        As of `UartReceiver`.

    Members
    -------
    i : In stream of 8-bit bytes
    tx : Out(1)
        The line.
    """

    def __init__(self, *, clock_hz, baud):
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)}, clock_hz=clock_hz, baud=baud)

    def elaborate(self, platform):
        m = Module()
        phase = Signal(self._width)
        tick = Signal()
        m.d.comb += tick.eq((phase + self._step)[self._width])
        # The data, lowest bit first, with a one behind as the stop bit. Where only that is left, the byte is out.
        left = Signal(9, init=1)
        stopping = Signal(init=1)
        idle = Signal(init=1)
        m.d.comb += self.i.ready.eq(idle)
        with m.If(idle):
            m.d.sync += phase.eq(0)
            with m.If(self.i.valid):
                m.d.sync += [
                    self.tx.eq(0),
                    left.eq(Cat(self.i.payload, Const(1, 1))),
                    idle.eq(0),
                    stopping.eq(0),
                ]
        with m.Else():
            m.d.sync += phase.eq(phase + self._step)
            with m.If(tick):
                m.d.sync += [
                    self.tx.eq(left[0]),
                    left.eq(left >> 1),
                    stopping.eq(left == 1),
                    idle.eq(stopping),
                ]
                with m.If(stopping):
                    m.d.sync += self.tx.eq(1)
        return m
