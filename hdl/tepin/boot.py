# SPDX-License-Identifier: Apache-2.0
"""Starts the program that the program memory holds at power-up, and watches it: a self test, before any host is there.

    host -- s_axil -- SelfTest -- m_axil -- chip

What is tested, and how, is the program's business (`tepin_host.selftest` writes one). Here is only what a host would do: open
the memory windows, start, read tokens, look at the status.
"""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, enum
from amaranth.lib.wiring import Component, In, Out

from tepin.control.registers import register
from tepin.dma.axi import AXI4LiteSignature

__all__ = ["SelfTest", "SelfTestState", "SelfTestStatus"]


class SelfTestState(enum.Enum, shape=2):
    """How far the self test is."""

    NONE = 0  # not done: there is no program for it, or a reset has come after it
    RUNNING = 1
    PASSED = 2  # the program has ended without an error
    FAILED = 3


class SelfTestStatus(data.Struct):
    """What is known of the self test, in one word."""

    state: SelfTestState
    reserved: 6
    part: 8  # the last token that the program has pushed, by which it says what it is about to test
    reserved_high: 16


def _bit(name, field):
    return next(entry.low for entry in register(name).fields if entry.name == field)


class SelfTest(Component):
    """Runs the program once after power-up, as soon as `ready`; until it has ended the host waits.

    The program may read and write all of the memory. When it has ended the registers are as after a reset, but for START_PC,
    the error registers and the counters. A reset during the test begins it again. A reset after it does not, since the
    host may have loaded another program: the state is NONE then.

    The host's accesses pass through combinationally while no test runs. Cost: 20 flip-flops, and the multiplexers of an
    AXI4-Lite bus.

    Parameters
    ----------
    memory_bytes : int
        Size of the memory, from address 0 on.
    present : bool
        False if there is no program: the state stays NONE, and the host never waits.

    Members
    -------
    ready : In(1)
        The memory can be used.
    s_axil : In(AXI4LiteSignature(addr_width=16))
        The host.
    m_axil : Out(AXI4LiteSignature(addr_width=16))
        The chip.
    status : Out(SelfTestStatus)
    """

    def __init__(self, *, memory_bytes, present=True):
        if memory_bytes not in range(1, (1 << 32) + 1):
            raise ValueError(f"Memory of a SelfTest must be 1 to 2**32 bytes, not {memory_bytes!r}")
        self._memory_bytes = memory_bytes
        self._present = bool(present)
        axil = AXI4LiteSignature(addr_width=16)
        super().__init__(
            {"ready": In(1), "s_axil": In(axil), "m_axil": Out(axil), "status": Out(SelfTestStatus)}
        )

    def _writes(self):
        """(register, value) in order: those that start the program, then those that clean up."""
        last = self._memory_bytes - 1
        windows = [("READ_BASE", 0), ("READ_LIMIT", last), ("WRITE_BASE", 0), ("WRITE_LIMIT", last)]
        start = [*windows, ("CONTROL", 1 << _bit("CONTROL", "start"))]
        clean = [(name, register(name).reset) for name, _ in windows]
        return start, [*clean, ("IRQ_STATUS", 0b111)]

    def elaborate(self, platform):
        m = Module()
        busy = Signal()  # the bus is ours
        address = Signal(16)
        addressed, written = Signal(), Signal()  # of a write: address and data are out
        asked = Signal()  # of a read: the address is out
        begin_write, begin_read = Signal(), Signal()
        word = Signal(32)
        ours = self._elaborate_bus(m, busy, address, word)

        m.d.comb += [
            ours.aw.valid.eq(begin_write & ~addressed),
            ours.w.valid.eq(begin_write & ~written),
            ours.b.ready.eq(addressed & written),
            ours.ar.valid.eq(begin_read & ~asked),
            ours.r.ready.eq(asked),
        ]
        for done, channel in ((addressed, ours.aw), (written, ours.w), (asked, ours.ar)):
            with m.If(channel.valid & channel.ready):
                m.d.sync += done.eq(1)
        answered = Signal()
        m.d.comb += answered.eq((ours.b.valid & ours.b.ready) | (ours.r.valid & ours.r.ready))
        with m.If(answered):
            m.d.sync += [addressed.eq(0), written.eq(0), asked.eq(0)]

        start, clean = self._writes()
        writes = [*start, *clean]
        index = Signal(range(len(writes) + 1))
        offsets = Array([register(name).offset for name, _ in writes])
        values = Array([value for _, value in writes])
        # It outlives a reset, as what is in the program memory does.
        over = Signal(init=not self._present, reset_less=True)
        failed = Signal()
        state = self.status.state
        read = ours.r.payload.data
        with m.FSM():
            with m.State("POWER_UP"):
                m.d.comb += busy.eq(~over)
                with m.If(over):
                    m.next = "DONE"
                with m.Else():
                    m.d.sync += state.eq(SelfTestState.RUNNING)
                    with m.If(self.ready):
                        m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [
                    busy.eq(1),
                    begin_write.eq(1),
                    address.eq(offsets[index]),
                    word.eq(values[index]),
                ]
                with m.If(answered):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == len(start) - 1):
                        m.next = "TOKEN"
                    with m.Elif(index == len(writes) - 1):
                        m.d.sync += [
                            over.eq(1),
                            state.eq(Mux(failed, SelfTestState.FAILED, SelfTestState.PASSED)),
                        ]
                        m.next = "DONE"
            with m.State("TOKEN"):
                m.d.comb += [busy.eq(1), begin_read.eq(1), address.eq(register("TOKEN").offset)]
                with m.If(answered):
                    m.next = "STATUS"
                    with m.If(read[-1]):
                        m.d.sync += self.status.part.eq(read)
            with m.State("STATUS"):
                m.d.comb += [busy.eq(1), begin_read.eq(1), address.eq(register("STATUS").offset)]
                m.d.sync += failed.eq(read[_bit("STATUS", "error")])
                with m.If(answered):
                    m.next = "TOKEN"
                    # An error is the end even if the chip is busy with it for good, as with a memory that never answers.
                    ended = read[_bit("STATUS", "done")] | read[_bit("STATUS", "error")]
                    with m.If(ended & ~read[_bit("STATUS", "token")]):
                        m.next = "WRITE"
            with m.State("DONE"):
                pass
        return m

    def _elaborate_bus(self, m, busy, address, word):
        """Wires the chip to the host, or to the interface that is returned."""
        ours = self.m_axil.signature.create()
        for name in ("aw", "w", "ar"):
            host, own, chip = (getattr(bus, name) for bus in (self.s_axil, ours, self.m_axil))
            m.d.comb += [
                chip.valid.eq(Mux(busy, own.valid, host.valid)),
                chip.payload.eq(host.payload),
                own.ready.eq(busy & chip.ready),
                host.ready.eq(~busy & chip.ready),
            ]
        for name in ("b", "r"):
            host, own, chip = (getattr(bus, name) for bus in (self.s_axil, ours, self.m_axil))
            m.d.comb += [
                own.valid.eq(busy & chip.valid),
                own.payload.eq(chip.payload),
                host.valid.eq(~busy & chip.valid),
                host.payload.eq(chip.payload),
                chip.ready.eq(Mux(busy, own.ready, host.ready)),
            ]
        with m.If(busy):
            m.d.comb += [
                self.m_axil.aw.payload.addr.eq(address),
                self.m_axil.ar.payload.addr.eq(address),
                self.m_axil.w.payload.data.eq(word),
                self.m_axil.w.payload.strb.eq(0b1111),
            ]
        return ours
