# SPDX-License-Identifier: Apache-2.0
"""Reading an operand: requests to the scratchpad, conversion of integers, and a buffer in front of the lanes."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tepin.float.convert import IntToFloat
from tepin.isa import DataType
from tepin.memory.ports import ReadPort
from tepin.stream import StreamFifo
from tepin.vector.buffer import ReservedFifo
from tepin.vector.walk import AddressGenerator, Operand

__all__ = ["OperandReader"]


class OperandReader(wiring.Component):
    """Reads one operand of a command, ahead of the lanes, and holds what is the same for all of a row.

    Requests follow the `BeatWalker`: at most one per beat, and one per row for an operand that does not change within it. The
    engine lets no more beats than `DEPTH` be between here and the lanes, so every response has its place.

    An element is spoken for (`claim`) when its beat is issued and taken out (`take`) in the same cycle or later: by taking
    the addend of a multiply-add only when the product is there, no delay line is needed for it.

    Parameters
    ----------
    lanes, line_bytes : int
    integers : bool
        Whether the operand may be of an integer type, to be converted to float32.

    Members
    -------
    port : Out(ReadPort)
    load : In(1)
        Begin with `operand` and, if `integers`, elements of type `type`. `slow` commands take one element per beat.
    closed : In(1), what the operand is read from may not be written yet: requests are made ready, and wait
    walk : In(1), a beat is waiting to be requested; and there is a place for it
    blocked : Out(1)
        This operand's request for the beat has not been accepted.
    advance, last, final : In
        The walker leaves the beat in this cycle; it was the last of its row, of the command.
    available : Out(1)
        There is an element for the next beat that has not been claimed, or the operand is absent.
    claim, claim_last : In
    take, take_last : In
    o : Out
        Words of the beat to be taken; +0.0 if the operand is absent.
    fault : Out(1)
        The scratchpad refused an address.
    """

    DEPTH = 32

    def __init__(self, *, lanes, line_bytes, integers=False):
        self._lanes = lanes
        self._integers = integers
        super().__init__(
            {
                "port": Out(ReadPort(line_bytes=line_bytes)),
                "load": In(1),
                "operand": In(Operand),
                "slow": In(1),
                **({"type": In(DataType)} if integers else {}),
                "closed": In(1),
                "walk": In(1),
                "blocked": Out(1),
                "advance": In(1),
                "last": In(1),
                "final": In(1),
                "available": Out(1),
                "claim": In(1),
                "claim_last": In(1),
                "take": In(1),
                "take_last": In(1),
                "o": Out(data.ArrayLayout(32, lanes)),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        port = self.port

        # Requests.
        m.submodules.addresses = addresses = AddressGenerator()
        present, per_row, broadcast, pending = Signal(), Signal(), Signal(), Signal()
        m.submodules.requests = requests = StreamFifo(shape=32, depth=2)
        requested = requests.i.valid & requests.i.ready
        m.d.comb += [
            addresses.load.eq(self.load),
            addresses.operand.eq(self.operand),
            addresses.advance.eq(self.advance),
            addresses.last.eq(self.last),
            requests.i.payload.eq(addresses.address),
            requests.i.valid.eq(pending & self.walk),
            self.blocked.eq(pending & ~requested),
            port.request.valid.eq(requests.o.valid & ~self.closed),
            port.request.payload.eq(requests.o.payload),
            requests.o.ready.eq(port.request.ready & ~self.closed),
            self.fault.eq(port.response_valid & port.fault),
        ]
        with m.If(self.load):
            m.d.sync += [
                present.eq(self.operand.present),
                per_row.eq(self.operand.per_row),
                broadcast.eq(self.operand.per_row | self.slow),
                pending.eq(self.operand.present),
            ]
        with m.Elif(self.advance):
            m.d.sync += pending.eq(present & (~per_row | self.last) & ~self.final)
        with m.Elif(requested):
            m.d.sync += pending.eq(0)

        # Responses.
        line = port.response[: 32 * lanes]
        m.submodules.buffer = buffer = ReservedFifo(shape=32 * lanes, depth=self.DEPTH)
        if self._integers:
            words, words_valid = self._convert(m, line, port.request.payload[:2])
        else:
            words, words_valid = line, port.response_valid
        m.d.comb += [buffer.i.eq(words), buffer.i_valid.eq(words_valid)]

        # The next element belongs to the next beat until that is the last one it serves.
        unclaimed, some = Signal(range(self.DEPTH + 1)), Signal()
        claimed = present & self.claim & (~per_row | self.claim_last)
        m.d.sync += some.eq(words_valid | (some & ~(claimed & (unclaimed == 1))))
        with m.If(words_valid & ~claimed):
            m.d.sync += unclaimed.eq(unclaimed + 1)
        with m.Elif(claimed & ~words_valid):
            m.d.sync += unclaimed.eq(unclaimed - 1)
        m.d.comb += [
            self.available.eq(~present | some),
            buffer.o.ready.eq(present & self.take & (~per_row | self.take_last)),
        ]
        head = data.View(data.ArrayLayout(32, lanes), buffer.o.payload)
        for lane in range(lanes):
            m.d.comb += self.o[lane].eq(Mux(present, Mux(broadcast, head[0], head[lane]), 0))
        return m

    def _convert(self, m, line, offset):
        """Cut elements of the operand's type out of `line` and make them float32."""
        lanes = self._lanes
        place = offset
        for cycle in range(ReadPort.LATENCY):
            earlier, place = place, Signal(2, name=f"place_{cycle}")
            m.d.sync += place.eq(earlier)

        type, is_float = Signal(DataType), Signal()
        with m.If(self.load):
            m.d.sync += [type.eq(self.type), is_float.eq(self.type == DataType.FLOAT32)]
        shifted = Signal.like(line)
        m.d.comb += shifted.eq(line >> (place << 3))

        converters = [IntToFloat(32) for _ in range(lanes)]
        valid = Signal(converters[0].latency + 1)
        m.d.sync += valid.eq(Cat(self.port.response_valid & ~is_float, valid[:-1]))
        for lane, converter in enumerate(converters):
            m.submodules[f"converter_{lane}"] = converter
            integer = Signal(Value.cast(converter.i).shape(), name=f"integer_{lane}", reset_less=True)
            with m.If(self.port.response_valid):
                with m.Switch(type):
                    with m.Case(DataType.INT32):
                        m.d.sync += integer.eq(shifted.word_select(lane, 32).as_signed())
                    with m.Case(DataType.INT16):
                        m.d.sync += integer.eq(shifted.word_select(lane, 16).as_signed())
                    with m.Case(DataType.INT8):
                        m.d.sync += integer.eq(shifted.word_select(lane, 8).as_signed())
            m.d.comb += converter.i.eq(integer)
        words = Mux(is_float, line, Cat(converter.o for converter in converters))
        return words, Mux(is_float, self.port.response_valid, valid[-1])
