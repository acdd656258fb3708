# SPDX-License-Identifier: Apache-2.0
"""Realignment between beats of memory and lines of the scratchpad, at one beat per cycle.

Both blocks see a run as bytes that keep their distance: byte i of a beat belongs to scratchpad address `local + i`, for
beats at any alignment. Lines are read and written at multiples of their size.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BeatsToLines", "LinesToBeats", "byte_range"]


def byte_range(first, last, count):
    """Mask of `count` bytes, of which those from `first` to `last` are set."""
    return Cat((first <= index) & (last >= index) for index in range(count))


def _rotate_left(value, amount, unit, count):
    """Rotate `count` units of `unit` bits to the left by `amount` units (a logarithmic shifter)."""
    for stage in range(len(amount)):
        if (1 << stage) < count:
            value = Mux(amount[stage], value.rotate_left(unit << stage), value)
    return value


class BeatsToLines(wiring.Component):
    """Collects the bytes of beats into lines of the scratchpad.

    A line is written when it is full or the run ends: one beat per cycle, and one more cycle when the last beat of a run lies
    across two lines. A line is offered 2 cycles after the beat that completes it.

    Parameters
    ----------
    beat_bytes, line_bytes : int
        Powers of two, `line_bytes` at least `beat_bytes`.

    Members
    -------
    i : In stream of {data, mask, local, last_of_run, pc}
        Bytes of a run, in order. `mask` (at least one bit, all adjacent) tells which bytes count; byte i goes to `local + i`.
    o : Out stream of {address, data, mask, last_of_run, pc}
        Line writes; `mask` is never empty. `last_of_run` comes with the last write of a run.
    """

    def __init__(self, *, beat_bytes, line_bytes):
        self.beat_bytes = beat_bytes
        self.line_bytes = line_bytes
        super().__init__(
            {
                "i": In(stream.Signature(self.layout(32, beat_bytes, "local"))),
                "o": Out(stream.Signature(self.layout(32, line_bytes, "address"))),
            }
        )

    @staticmethod
    def layout(address_width, byte_count, address_name):
        return data.StructLayout(
            {
                "data": 8 * byte_count,
                "mask": byte_count,
                address_name: address_width,
                "last_of_run": 1,
                "pc": 15,
            }
        )

    def elaborate(self, platform):
        m = Module()
        line_bits = (self.line_bytes - 1).bit_length()
        beat_bits = (self.beat_bytes - 1).bit_length()

        # Stage 1: bytes to their lanes. `mask` spans this line and the next one.
        rotated_valid = Signal()
        rotated_ready = Signal()
        rotated = Signal(8 * self.beat_bytes)
        mask = Signal(2 * self.line_bytes)
        line = Signal(32 - line_bits)
        last_of_run = Signal()
        pc = Signal(15)
        beat = self.i.payload
        m.d.comb += self.i.ready.eq(~rotated_valid | rotated_ready)
        with m.If(self.i.ready):
            m.d.sync += [
                rotated_valid.eq(self.i.valid),
                rotated.eq(_rotate_left(beat.data, beat.local[:beat_bits], 8, self.beat_bytes)),
                mask.eq(beat.mask << beat.local[:line_bits]),
                line.eq(beat.local[line_bits:]),
                last_of_run.eq(beat.last_of_run),
                pc.eq(beat.pc),
            ]

        # Stage 2: merge with what is held of this line.
        held = Signal(8 * self.line_bytes)
        held_mask = Signal(self.line_bytes)
        spill = Signal()  # what is held is the end of a run and must be written alone
        spill_line = Signal(32 - line_bits)
        spill_pc = Signal(15)
        merged = Signal(8 * self.line_bytes)
        merged_mask = Signal(self.line_bytes)
        lanes = rotated.replicate(self.line_bytes // self.beat_bytes)
        here, beyond = mask[: self.line_bytes], mask[self.line_bytes :]
        spills = Signal()
        emit = Signal()
        free = Signal()
        m.d.comb += [
            merged.eq(
                Cat(
                    Mux(here[lane], lanes.word_select(lane, 8), held.word_select(lane, 8))
                    for lane in range(self.line_bytes)
                )
            ),
            merged_mask.eq(here | held_mask),
            spills.eq(beyond.any()),
            emit.eq((here[-1] | spills | last_of_run) & merged_mask.any()),
            free.eq(~self.o.valid | self.o.ready),
            rotated_ready.eq(~spill & (free | ~emit)),
        ]
        out = self.o.payload
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(spill):
            with m.If(free):
                m.d.sync += [
                    self.o.valid.eq(1),
                    out.data.eq(held),
                    out.mask.eq(held_mask),
                    out.address.eq(spill_line << line_bits),
                    out.last_of_run.eq(1),
                    out.pc.eq(spill_pc),
                    held_mask.eq(0),
                    spill.eq(0),
                ]
        with m.Elif(rotated_valid & rotated_ready):
            m.d.sync += [
                held.eq(merged),
                held_mask.eq(merged_mask),
                spill.eq(last_of_run & spills),
                spill_line.eq(line + 1),
                spill_pc.eq(pc),
            ]
            with m.If(emit):
                m.d.sync += [
                    self.o.valid.eq(1),
                    out.data.eq(merged),
                    out.mask.eq(merged_mask),
                    out.address.eq(line << line_bits),
                    out.last_of_run.eq(last_of_run & ~spills),
                    out.pc.eq(pc),
                ]
            with m.If(emit | spills):
                m.d.sync += [held.eq(lanes), held_mask.eq(beyond)]
        return m


class LinesToBeats(wiring.Component):
    """Cuts the bytes of beats out of lines of the scratchpad.

    One beat per cycle while lines are there, and one more cycle when the first beat of a run needs bytes of two lines. A
    beat is offered 2 cycles after its lines.

    Parameters
    ----------
    beat_bytes, line_bytes : int
        Powers of two, `line_bytes` at least `beat_bytes`.

    Members
    -------
    i : In stream of {mask, local, last_of_run, last}
        Which bytes are wanted: byte i, if `mask` (at least one bit, all adjacent) has it, from address `local + i`. `last` is
        passed on.
    lines : In stream of lines
        All lines that have bytes of a run, each once, in order.
    dry : In
        While high, beats need no lines, and leave with an empty mask.
    o : Out stream of {data, mask, last}
    """

    def __init__(self, *, beat_bytes, line_bytes):
        self.beat_bytes = beat_bytes
        self.line_bytes = line_bytes
        want = data.StructLayout({"mask": beat_bytes, "local": 32, "last_of_run": 1, "last": 1})
        beat = data.StructLayout({"data": 8 * beat_bytes, "mask": beat_bytes, "last": 1})
        super().__init__(
            {
                "i": In(stream.Signature(want)),
                "lines": In(stream.Signature(8 * line_bytes)),
                "dry": In(1),
                "o": Out(stream.Signature(beat)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        line_bits = (self.line_bytes - 1).bit_length()
        beat_bits = (self.beat_bytes - 1).bit_length()
        ratio = self.line_bytes // self.beat_bytes
        want = self.i.payload
        offset = want.local[:line_bits]

        # Which lines does the beat touch, and which are there?
        held = Signal(8 * self.line_bytes)
        held_valid = Signal()
        mask = Signal(2 * self.line_bytes)
        this_line, next_line = Signal(), Signal()
        enough, use_new, fetch_only = Signal(), Signal(), Signal()
        m.d.comb += [
            mask.eq(want.mask << offset),
            this_line.eq(mask[: self.line_bytes].any()),
            next_line.eq(mask[self.line_bytes :].any()),
            use_new.eq(~held_valid | next_line),
            fetch_only.eq(~held_valid & this_line & next_line),
            enough.eq(self.dry | ((~use_new | self.lines.valid) & ~fetch_only)),
        ]
        # Which line comes after the beat: the position one past its last byte.
        past = Signal(line_bits + 2)
        m.d.comb += past.eq(offset + self.beat_bytes)

        lane_ready = Signal()
        take = Signal()
        m.d.comb += [
            take.eq(self.i.valid & lane_ready & enough),
            self.i.ready.eq(lane_ready & enough),
            self.lines.ready.eq(
                ~self.dry & self.i.valid & ((take & use_new) | fetch_only),
            ),
        ]
        with m.If(self.i.valid & fetch_only & self.lines.valid):
            m.d.sync += [held.eq(self.lines.payload), held_valid.eq(1)]
        with m.If(take):
            with m.If(use_new):
                m.d.sync += held.eq(self.lines.payload)
            m.d.sync += held_valid.eq(~want.last_of_run & (past != self.line_bytes))

        # Stage 1: for each lane of the beat the byte that has the right position in its chunk of the line.
        lanes_valid = Signal()
        lanes = Signal(8 * self.beat_bytes)
        lanes_mask = Signal(self.beat_bytes)
        lanes_shift = Signal(beat_bits)
        lanes_last = Signal()
        shift = offset[:beat_bits]
        chunk = offset[beat_bits:]
        selected = []
        for lane in range(self.beat_bytes):
            choices = []
            for position in range(ratio):
                index = position * self.beat_bytes + lane
                old = held.word_select(index, 8)
                new = self.lines.payload.word_select(index, 8)
                choices.append(Mux(held_valid & (index >= offset), old, new))
            if ratio == 1:
                selected.append(choices[0])
            else:
                which = Signal(range(ratio), name=f"chunk_{lane}")
                m.d.comb += which.eq(chunk + (shift > lane))
                selected.append(Array(choices)[which])
        stage_ready = Signal()
        m.d.comb += lane_ready.eq(~lanes_valid | stage_ready)
        with m.If(lane_ready):
            m.d.sync += [
                lanes_valid.eq(take),
                lanes.eq(Cat(selected)),
                lanes_mask.eq(Mux(self.dry, 0, want.mask)),
                lanes_shift.eq(-shift),
                lanes_last.eq(want.last),
            ]

        # Stage 2: bytes to their places.
        m.d.comb += stage_ready.eq(~self.o.valid | self.o.ready)
        with m.If(stage_ready):
            m.d.sync += [
                self.o.valid.eq(lanes_valid),
                self.o.payload.data.eq(_rotate_left(lanes, lanes_shift, 8, self.beat_bytes)),
                self.o.payload.mask.eq(lanes_mask),
                self.o.payload.last.eq(lanes_last),
            ]
        return m
