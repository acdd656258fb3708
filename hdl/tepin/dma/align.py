# SPDX-License-Identifier: Apache-2.0
"""Realignment between beats of memory and lines of the scratchpad, at one beat per cycle.

Both blocks see a run as bytes that keep their distance: byte i of a beat belongs to scratchpad address `local + i`, for
beats at any alignment. Lines are read and written at multiples of their size.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.stream import StreamFifo

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
    across two lines. A line is offered 3 cycles after the beat that completes it. There is no combinational path from
    `o.ready` to `i.ready`.

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
        rotated = Signal(8 * self.beat_bytes, reset_less=True)
        mask = Signal(2 * self.line_bytes)
        here_any, spills, ends = (
            Signal(),
            Signal(),
            Signal(),
        )  # of this line, of the next; this line or the run ends
        line = Signal(32 - line_bits, reset_less=True)
        last_of_run = Signal()
        pc = Signal(15, reset_less=True)
        beat = self.i.payload
        placed = Signal(2 * self.line_bytes)
        m.d.comb += [
            placed.eq(beat.mask << beat.local[:line_bits]),
            self.i.ready.eq(~rotated_valid | rotated_ready),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                rotated_valid.eq(self.i.valid),
                rotated.eq(_rotate_left(beat.data, beat.local[:beat_bits], 8, self.beat_bytes)),
                mask.eq(placed),
                here_any.eq(placed[: self.line_bytes].any()),
                spills.eq(placed[self.line_bytes :].any()),
                ends.eq(placed[self.line_bytes - 1 :].any() | beat.last_of_run),
                line.eq(beat.local[line_bits:]),
                last_of_run.eq(beat.last_of_run),
                pc.eq(beat.pc),
            ]

        # Stage 2: merge with what is held of this line.
        m.submodules.lines = lines = StreamFifo(shape=self.o.payload.shape(), depth=2)
        connect(m, lines.o, flipped(self.o))
        held = Signal(8 * self.line_bytes, reset_less=True)
        held_mask = Signal(self.line_bytes)
        held_any = Signal()
        spill = Signal()  # what is held is the end of a run and must be written alone
        spill_line = Signal(32 - line_bits, reset_less=True)
        spill_pc = Signal(15, reset_less=True)
        merged = Signal(8 * self.line_bytes)
        merged_mask = Signal(self.line_bytes)
        bytes_of_lanes = rotated.replicate(self.line_bytes // self.beat_bytes)
        here, beyond = mask[: self.line_bytes], mask[self.line_bytes :]
        emit = Signal()
        m.d.comb += [
            merged.eq(
                Cat(
                    Mux(here[lane], bytes_of_lanes.word_select(lane, 8), held.word_select(lane, 8))
                    for lane in range(self.line_bytes)
                )
            ),
            merged_mask.eq(here | held_mask),
            emit.eq(ends & (here_any | held_any)),
            rotated_ready.eq(~spill & (lines.i.ready | ~emit)),
            lines.i.valid.eq(spill | (rotated_valid & emit)),
        ]
        out = lines.i.payload
        with m.If(spill):
            m.d.comb += [
                out.data.eq(held),
                out.mask.eq(held_mask),
                out.address.eq(spill_line << line_bits),
                out.last_of_run.eq(1),
                out.pc.eq(spill_pc),
            ]
        with m.Else():
            m.d.comb += [
                out.data.eq(merged),
                out.mask.eq(merged_mask),
                out.address.eq(line << line_bits),
                out.last_of_run.eq(last_of_run & ~spills),
                out.pc.eq(pc),
            ]
        with m.If(spill):
            with m.If(lines.i.ready):
                m.d.sync += [held_mask.eq(0), held_any.eq(0), spill.eq(0)]
        with m.Elif(rotated_valid & rotated_ready):
            m.d.sync += [
                held.eq(merged),
                held_mask.eq(merged_mask),
                held_any.eq(here_any | held_any),
                spill.eq(last_of_run & spills),
                spill_line.eq(line + 1),
                spill_pc.eq(pc),
            ]
            with m.If(emit | spills):
                m.d.sync += [held.eq(bytes_of_lanes), held_mask.eq(beyond), held_any.eq(spills)]
        return m


class LinesToBeats(wiring.Component):
    """Cuts the bytes of beats out of lines of the scratchpad.

    One beat per cycle while lines are there, and one more cycle when the first beat of a run needs bytes of two lines. A
    beat is offered 3 cycles after its lines, at the earliest 4 after it is wanted. There is no combinational path
    from `o.ready` to the other side.

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

        # Which lines does the beat touch? And does the next one begin with another line?
        m.submodules.wants = wants = StreamFifo(
            shape=data.StructLayout(
                {
                    "mask": self.beat_bytes,
                    "offset": line_bits,
                    "this_line": 1,
                    "next_line": 1,
                    "leaves_line": 1,
                    "last_of_run": 1,
                    "last": 1,
                }
            ),
            depth=2,
        )
        incoming = self.i.payload
        place = incoming.local[:line_bits]
        mask = Signal(2 * self.line_bytes)
        m.d.comb += [
            mask.eq(incoming.mask << place),
            wants.i.valid.eq(self.i.valid),
            self.i.ready.eq(wants.i.ready),
            wants.i.payload.mask.eq(incoming.mask),
            wants.i.payload.offset.eq(place),
            wants.i.payload.this_line.eq(mask[: self.line_bytes].any()),
            wants.i.payload.next_line.eq(mask[self.line_bytes :].any()),
            wants.i.payload.leaves_line.eq(place == self.line_bytes - self.beat_bytes),
            wants.i.payload.last_of_run.eq(incoming.last_of_run),
            wants.i.payload.last.eq(incoming.last),
        ]
        want = wants.o.payload
        offset = want.offset
        this_line, next_line = want.this_line, want.next_line

        # Which lines are there?
        held = Signal(8 * self.line_bytes, reset_less=True)
        held_valid = Signal()
        enough, use_new, fetch_only = Signal(), Signal(), Signal()
        m.d.comb += [
            use_new.eq(~held_valid | next_line),
            fetch_only.eq(~held_valid & this_line & next_line),
            enough.eq(self.dry | ((~use_new | self.lines.valid) & ~fetch_only)),
        ]
        lane_ready = Signal()
        take = Signal()
        m.d.comb += [
            take.eq(wants.o.valid & lane_ready & enough),
            wants.o.ready.eq(lane_ready & enough),
            self.lines.ready.eq(
                ~self.dry & wants.o.valid & use_new & (lane_ready | fetch_only),
            ),
        ]
        with m.If(wants.o.valid & fetch_only & self.lines.valid):
            m.d.sync += [held.eq(self.lines.payload), held_valid.eq(1)]
        with m.If(take):
            with m.If(use_new):
                m.d.sync += held.eq(self.lines.payload)
            m.d.sync += held_valid.eq(~want.last_of_run & ~want.leaves_line)

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
        m.submodules.beats = beats = StreamFifo(shape=self.o.payload.shape(), depth=2)
        connect(m, beats.o, flipped(self.o))
        m.d.comb += [
            stage_ready.eq(beats.i.ready),
            beats.i.valid.eq(lanes_valid),
            beats.i.payload.data.eq(_rotate_left(lanes, lanes_shift, 8, self.beat_bytes)),
            beats.i.payload.mask.eq(lanes_mask),
            beats.i.payload.last.eq(lanes_last),
        ]
        return m
