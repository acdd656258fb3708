# SPDX-License-Identifier: Apache-2.0
"""Pins of a link: two bits per lane and clock, a clock that goes along, and the way from that clock to one's own."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import Component, In, Out, Signature

from tepin.link.serial_link import LineSignature
from tepin.link.training import LANES

__all__ = ["DdrPhy", "LinkPins"]

_DEPTH = 16  # beats between the two clocks


class LinkPins(Signature):
    """Wires to another chip: `tx` and `tx_clock` of each end go to `rx` and `rx_clock` of the other.

    Parameters
    ----------
    lanes : int

    Members
    -------
    tx : Out(lanes), tx_clock : Out(1)
    rx : In(lanes), rx_clock : In(1)
    """

    def __init__(self, lanes):
        super().__init__({"tx": Out(lanes), "tx_clock": Out(1), "rx": In(lanes), "rx_clock": In(1)})


class DdrPhy(Component):
    """Beats to pins and back.

    Sender: the first bits of a beat are on the pins while the clock of `sync` is high, the second bits while it is
    low. `tx_clock` comes from the same kind of output cell in the domain `clock_domain`, whose clock lags by a
    quarter of a period, so that its edges are in the middle of the bits. A beat that is left out has no edges.

    Receiver: both edges of `rx_clock` take bits. Whether a rising edge takes first or second bits is for training to
    find out. An asynchronous FIFO of 16 beats brings them into `sync`. If the clock there is slower than beats come,
    some are lost, which costs a replay each; see `pause` of `SerialLink`.

    On an ECP5 the bits pass ODDRX1F and IDDRX1F, elsewhere a model of these in flip-flops and multiplexers.

    Latency: 1 cycle out; in, 1 or 2 cycles of `rx_clock` and 3 or 4 of `sync`.

    Parameters
    ----------
    lanes : int
        1, 2, 4 or 8.
    clock_domain : str
        Of `tx_clock`. Its clock has the frequency of that of `sync`.

    Members
    -------
    line_tx : In(LineSignature(lanes)), line_rx : Out(LineSignature(lanes))
        `tx` and `rx` of a `SerialLink`.
    pins : Out(LinkPins(lanes))
    """

    def __init__(self, *, lanes, clock_domain="line_clock"):
        if isinstance(lanes, bool) or lanes not in LANES:
            raise ValueError(f"Lanes must be one of {', '.join(map(str, LANES))}, not {lanes!r}")
        self._lanes = lanes
        self._clock_domain = clock_domain
        super().__init__(
            {
                "line_tx": In(LineSignature(lanes)),
                "line_rx": Out(LineSignature(lanes)),
                "pins": Out(LinkPins(lanes)),
            }
        )

    @property
    def lanes(self):
        """Wires for data in each direction."""
        return self._lanes

    def elaborate(self, platform):
        m = Module()
        lanes, pins = self._lanes, self.pins
        family = getattr(platform, "device", "")[:5]
        cells = (_put_ecp5, _put_clock_ecp5, _take_ecp5) if family == "LFE5U" else (_put, _put_clock, _take)
        put, put_clock, take = cells

        for lane in range(lanes):
            data = self.line_tx.data
            put(m, f"tx{lane}", pins.tx[lane], data[lane], data[lanes + lane])
        put_clock(m, self._clock_domain, pins.tx_clock, self.line_tx.strobe)

        # Domains without resets: a peer's clock may not be there yet.
        m.domains.line = ClockDomain("line", local=True, reset_less=True)
        m.domains.line_fall = ClockDomain("line_fall", clk_edge="neg", local=True, reset_less=True)
        m.d.comb += [ClockSignal("line").eq(pins.rx_clock), ClockSignal("line_fall").eq(pins.rx_clock)]
        rise, fall = Signal(lanes), Signal(lanes)
        for lane in range(lanes):
            take(m, f"rx{lane}", pins.rx[lane], rise[lane], fall[lane])
        m.submodules.fifo = fifo = AsyncFIFO(width=2 * lanes, depth=_DEPTH, w_domain="line", r_domain="sync")
        m.d.comb += [
            fifo.w_data.eq(Cat(rise, fall)),
            fifo.w_en.eq(1),
            fifo.r_en.eq(1),
            self.line_rx.data.eq(fifo.r_data),
            self.line_rx.strobe.eq(fifo.r_rdy),
        ]
        return m


def _put(m, name, pin, first, second):
    """`first` while the clock is high, `second` while it is low, from the next edge on."""
    levels = Signal(2, name=f"{name}_levels")
    m.d.sync += levels.eq(Cat(first, second))
    m.d.comb += pin.eq(Mux(ClockSignal(), levels[0], levels[1]))


def _put_clock(m, domain, pin, strobe):
    """A pulse in the middle of what is put at the next edge. The falling edge decides, so that there is no part of one."""
    m.domains.line_gate = ClockDomain("line_gate", clk_edge="neg", local=True, reset_less=True)
    gate = Signal()
    m.d.line_gate += gate.eq(strobe)
    m.d.comb += [ClockSignal("line_gate").eq(ClockSignal(domain)), pin.eq(ClockSignal(domain) & gate)]


def _take(m, name, pin, rise, fall):
    """What rising and falling edges found, both from the next rising edge on."""
    at_rise, at_fall = Signal(name=f"{name}_at_rise"), Signal(name=f"{name}_at_fall")
    m.d.line += [at_rise.eq(pin), rise.eq(at_rise), fall.eq(at_fall)]
    m.d.line_fall += at_fall.eq(pin)


def _put_ecp5(m, name, pin, first, second):
    m.submodules[name] = _oddr("sync", pin, first, second)


def _put_clock_ecp5(m, domain, pin, strobe):
    # The cell takes this a quarter of a period after an edge of `sync`, those of the data at the next edge.
    later = Signal()
    m.d.sync += later.eq(strobe)
    m.submodules.clock = _oddr(domain, pin, later, Const(0))


def _oddr(domain, pin, first, second):
    return Instance("ODDRX1F", i_SCLK=ClockSignal(domain), i_RST=Const(0), i_D0=first, i_D1=second, o_Q=pin)


def _take_ecp5(m, name, pin, rise, fall):
    m.submodules[name] = Instance(
        "IDDRX1F", i_SCLK=ClockSignal("line"), i_RST=Const(0), i_D=pin, o_Q0=rise, o_Q1=fall
    )
