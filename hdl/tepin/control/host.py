# SPDX-License-Identifier: Apache-2.0
"""The host's side of the chip: the register map as an AXI4-Lite slave."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from tepin.control.counters import COUNTER_BITS
from tepin.control.engine import EngineError
from tepin.control.registers import COUNTERS, REGISTERS, register
from tepin.dma.axi import AXI4LiteSignature, Response
from tepin.isa import ISA_VERSION

__all__ = ["HostRegisters"]

_INDEX_BITS = (max(entry.offset for entry in REGISTERS) // 4 + 1).bit_length()


def _register_index(address):
    """Number of the register at a byte address, the highest possible one if there is none that far up."""
    index = address[2 : 2 + _INDEX_BITS]
    return Mux(address[2 + _INDEX_BITS :].any(), (1 << _INDEX_BITS) - 1, index)[:_INDEX_BITS]


class HostRegisters(Component):
    """Registers of `tepin.control.registers.REGISTERS`.

    Reads and writes are independent of each other; a write is answered after two cycles, a read after four, and one of
    each is under way. Answers SLVERR, with no effect, to: an
    offset without a register, a write to a read-only register, a write that does not enable all four bytes, a start
    or an access to the program memory while a program runs, an access past the end of the program memory.

    Parameters
    ----------
    config_hash : int
        Content of CONFIG_HASH.
    program_words : int
        Size of the program memory.
    tokens : int
        Most tokens in the FIFO.
    parity : bool
        Whether there is PARITY_ERRORS.

    Members
    -------
    s_axil : In(AXI4LiteSignature(addr_width=16))
    irq : Out(1)
        High while an enabled event is pending.
    start, stop : Out(1)
        One cycle each.
    busy, done, failed, error : In
        State of the program, as `Supervisor` shows it.
    start_pc : Out(15)
    watchdog, read_base, read_limit, write_base, write_limit : Out(32)
    tokens, token_level : In stream of 32-bit words, In
    program_address, program_write, program_data : Out(15), Out(1), Out(32)
    program_word : In(32)
        Word at `program_address`, two cycles later.
    counters : array of In(COUNTER_BITS)
    parity_errors : In(5)
        Added to PARITY_ERRORS in every cycle. Only with `parity`.
    """

    def __init__(self, *, config_hash, program_words, tokens, parity=False):
        self._config_hash = config_hash
        self._program_words = program_words
        self._parity = parity
        super().__init__(
            {
                "s_axil": In(AXI4LiteSignature(addr_width=16)),
                "irq": Out(1),
                "start": Out(1),
                "stop": Out(1),
                "busy": In(1),
                "done": In(1),
                "failed": In(1),
                "error": In(EngineError),
                "start_pc": Out(15),
                "watchdog": Out(32, init=register("WATCHDOG").reset),
                "read_base": Out(32, init=register("READ_BASE").reset),
                "read_limit": Out(32, init=register("READ_LIMIT").reset),
                "write_base": Out(32, init=register("WRITE_BASE").reset),
                "write_limit": Out(32, init=register("WRITE_LIMIT").reset),
                "tokens": In(stream.Signature(32)),
                "token_level": In(range(tokens + 1)),
                "program_address": Out(15),
                "program_write": Out(1),
                "program_data": Out(32),
                "program_word": In(32),
                "counters": In(COUNTER_BITS).array(len(COUNTERS)),
                **({"parity_errors": In(5)} if parity else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        enabled = Signal(3)
        happened = Signal(2)  # done, error
        program_address = Signal(16)  # one bit more than an address, for the place behind the last word
        upper = Signal(32)  # of the counter whose lower half was read
        inside = program_address < self._program_words
        events = Cat(happened, self.tokens.valid)
        m.d.comb += [
            self.program_address.eq(program_address),
            self.irq.eq((events & enabled).any()),
        ]

        written = Signal()  # an access to PROGRAM_DATA moves the address on
        read = Signal()
        done_before, failed_before = Signal(), Signal()
        m.d.sync += [done_before.eq(self.done), failed_before.eq(self.failed)]
        with m.If(written | read):
            m.d.sync += program_address.eq(program_address + 1)

        self._elaborate_write(m, enabled, happened, program_address, inside, written)
        # An event that happens just now is not lost to a host that clears an older one.
        with m.If(self.done & ~done_before):
            m.d.sync += happened[0].eq(1)
        with m.If(self.failed & ~failed_before):
            m.d.sync += happened[1].eq(1)

        token = Mux(self.tokens.valid, Cat(self.tokens.payload[:31], Const(1, 1)), 0)
        values = {
            "ID": register("ID").reset,
            "ISA_VERSION": ISA_VERSION,
            "CONFIG_HASH": self._config_hash,
            "CONTROL": 0,
            "STATUS": Cat(self.busy, self.done, self.failed, self.tokens.valid),
            "ERROR": self.error.code.as_value(),
            "ERROR_PC": self.error.pc,
            "ERROR_INFO": self.error.info,
            "TOKEN": token,
            "TOKEN_LEVEL": self.token_level,
            "IRQ_ENABLE": enabled,
            "IRQ_STATUS": events,
            "WATCHDOG": self.watchdog,
            "START_PC": self.start_pc,
            "PROGRAM_ADDRESS": program_address,
            "PROGRAM_DATA": self.program_word,
            "READ_BASE": self.read_base,
            "READ_LIMIT": self.read_limit,
            "WRITE_BASE": self.write_base,
            "WRITE_LIMIT": self.write_limit,
        }
        if self._parity:
            values["PARITY_ERRORS"] = errors = Signal(32)
            total = errors + self.parity_errors
            with m.If(~total[32]):
                m.d.sync += errors.eq(total)
        for (name, _), counter in zip(COUNTERS, self.counters, strict=True):
            values |= {f"{name}_LO": counter[:32], f"{name}_HI": upper}
        self._elaborate_read(m, values, upper, inside, read)
        return m

    def _elaborate_write(self, m, enabled, happened, program_address, inside, written):
        bus = self.s_axil
        index, word = Signal(_INDEX_BITS), Signal(32)
        complete, valid = Signal(), Signal()  # all bytes are enabled; the registers hold a write
        refused = Signal(init=1)
        m.d.comb += [
            bus.aw.ready.eq(bus.w.valid & bus.aw.valid & ~valid & ~bus.b.valid),
            bus.w.ready.eq(bus.aw.ready),
            self.program_data.eq(word),
            self.program_write.eq(written),
        ]
        m.d.sync += [
            valid.eq(bus.aw.ready),
            index.eq(_register_index(bus.aw.payload.addr)),
            word.eq(bus.w.payload.data),
            complete.eq(bus.aw.ready & bus.w.payload.strb.all()),
        ]
        targets = {
            "IRQ_ENABLE": enabled,
            "WATCHDOG": self.watchdog,
            "START_PC": self.start_pc,
            "PROGRAM_ADDRESS": program_address,
            "READ_BASE": self.read_base,
            "READ_LIMIT": self.read_limit,
            "WRITE_BASE": self.write_base,
            "WRITE_LIMIT": self.write_limit,
        }
        with m.If(bus.b.ready):
            m.d.sync += bus.b.valid.eq(0)
        with m.If(valid):
            m.d.sync += [
                bus.b.valid.eq(1),
                bus.b.payload.resp.eq(Mux(refused, Response.SLVERR, Response.OKAY)),
            ]
        with m.If(valid & complete), m.Switch(index):
            for entry in REGISTERS:
                if entry.access == "ro":
                    continue
                with m.Case(entry.offset // 4):
                    if entry.name == "CONTROL":
                        fields = {field.name: word[field.low] for field in entry.fields}
                        m.d.comb += [
                            refused.eq(fields["start"] & self.busy),
                            self.start.eq(fields["start"] & ~self.busy),
                            self.stop.eq(fields["stop"] & ~refused),
                        ]
                    elif entry.name == "IRQ_STATUS":
                        m.d.comb += refused.eq(0)
                        m.d.sync += happened.eq(happened & ~word[: len(happened)])
                    elif entry.name == "PROGRAM_DATA":
                        m.d.comb += [refused.eq(self.busy | ~inside), written.eq(~refused)]
                    else:
                        m.d.comb += refused.eq(self.busy if entry.idle else 0)
                        with m.If(~refused):
                            m.d.sync += targets[entry.name].eq(word)

    def _elaborate_read(self, m, values, upper, inside, read):
        """A read takes effect in the cycle in which its value is chosen, three after that of its address."""
        bus = self.s_axil
        index = Signal(_INDEX_BITS)
        stage = Signal(3)  # one-hot: the program memory is read; is in its register; a value is there
        value = Signal(32)
        refused = Signal(init=1)
        taken = stage[1]
        chosen, chosen_refused = Signal(32), Signal()
        m.d.comb += bus.ar.ready.eq(~stage.any() & ~bus.r.valid)
        m.d.sync += [
            stage.eq(Cat(bus.ar.valid & bus.ar.ready, stage)),
            chosen.eq(value),
            chosen_refused.eq(refused),
        ]
        with m.If(bus.ar.ready):
            m.d.sync += index.eq(_register_index(bus.ar.payload.addr))
        with m.If(bus.r.ready):
            m.d.sync += bus.r.valid.eq(0)
        with m.If(stage[2]):
            m.d.sync += [
                bus.r.valid.eq(1),
                bus.r.payload.data.eq(Mux(chosen_refused, 0, chosen)),
                bus.r.payload.resp.eq(Mux(chosen_refused, Response.SLVERR, Response.OKAY)),
            ]
        counters = {f"{name}_LO": counter for (name, _), counter in zip(COUNTERS, self.counters, strict=True)}
        with m.Switch(index):
            for entry in REGISTERS:
                if entry.name not in values:
                    continue
                with m.Case(entry.offset // 4):
                    m.d.comb += [refused.eq(0), value.eq(values[entry.name])]
                    if entry.name == "PROGRAM_DATA":
                        m.d.comb += [refused.eq(self.busy | ~inside), read.eq(taken & ~refused)]
                    if entry.name == "TOKEN":
                        m.d.comb += self.tokens.ready.eq(taken)
                    if entry.name in counters:
                        with m.If(taken):
                            m.d.sync += upper.eq(counters[entry.name][32:])
