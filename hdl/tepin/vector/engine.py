# SPDX-License-Identifier: Apache-2.0
"""The vector engine: executes vector commands one after the other.

    commands -> decoder -> walker -> operand readers -> lanes -+-> element writer -> d
                              beats ------------------^        +-> reducers -> reduction writer -> result

Beats are requested ahead of time, as far as there is room in the operand readers; they are issued to the lanes when all their
operands have come and there is room for their results. From there on nothing waits.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped
from amaranth.utils import ceil_log2

from tepin.clock import Settled
from tepin.control.engine import CommandReader, EngineSignature
from tepin.isa import Engine, ErrorCode, Function, Mode, Reduction
from tepin.memory.ports import ReadPort, WritePort
from tepin.stream import StreamFifo
from tepin.vector.decode import OPERANDS, CommandDecoder
from tepin.vector.lane import FUNCTIONS, Lane, LaneControl
from tepin.vector.operand import OperandReader
from tepin.vector.path import BeatDelay, BeatPath
from tepin.vector.random import RandomSequencer
from tepin.vector.reduce import FixedSumReducer, MaximumReducer
from tepin.vector.result import ElementWriter, ReductionWriter
from tepin.vector.sum import SumReducer
from tepin.vector.walk import BeatWalker, beat_layout

__all__ = ["VectorEngine"]

_ROWS_UNDER_WAY = 16


class VectorEngine(wiring.Component):
    """Executes vector commands.

    Computes `lanes` elements per cycle if every operand is contiguous, or the same for all of a row, and d is contiguous;
    one element per cycle otherwise. Sums of float32 (`Reduction.SUM`) wait for each row's tree, and a random
    number takes 22 cycles per beat. A command reads when all effects of the one before it are in the scratchpad. An operand
    b that is the same as a, in a square, is read once.

    Errors: `ILLEGAL_INSTRUCTION` (length contradicts flags), `PARAMETER` (no such function or reduction; info: flags),
    `SCRATCHPAD` (misaligned, or refused by the scratchpad; info: where the operand starts). The engine then stays as it
    is until it is reset.

    Parameters
    ----------
    lanes : int
        1, 2, 4, 8 or 16.
    line_bytes : int
        Bytes per scratchpad line: a power of two, at least 4 * lanes.

    Members
    -------
    control : Out(EngineSignature)
    a, b, c : Out(ReadPort)
    d, result : Out(WritePort)
    """

    def __init__(self, *, lanes, line_bytes):
        if lanes not in (1, 2, 4, 8, 16):
            raise ValueError(f"Lanes must be 1, 2, 4, 8 or 16, not {lanes!r}")
        if line_bytes & (line_bytes - 1) or line_bytes < 4 * lanes:
            raise ValueError(
                f"Line bytes must be a power of two, at least {4 * lanes} for {lanes} lanes, not {line_bytes!r}"
            )
        self._lanes = lanes
        self._line_bytes = line_bytes
        super().__init__(
            {
                "control": Out(EngineSignature()),
                "a": Out(ReadPort(line_bytes=line_bytes)),
                "b": Out(ReadPort(line_bytes=line_bytes)),
                "c": Out(ReadPort(line_bytes=line_bytes)),
                "d": Out(WritePort(line_bytes=line_bytes)),
                "result": Out(WritePort(line_bytes=line_bytes)),
            }
        )

    @property
    def lanes(self):
        """Elements per cycle."""
        return self._lanes

    @property
    def line_bytes(self):
        """Bytes per scratchpad line."""
        return self._line_bytes

    def elaborate(self, platform):
        m = Module()
        lanes, line_bytes = self.lanes, self.line_bytes
        # Results under way: from operand registers to the port. Only special functions as integers have more of them.
        lane_array = [Lane() for _ in range(lanes)]
        timing = lane_array[0]
        beats_under_way = 1 << ceil_log2(timing.longest + 8)

        # Commands.
        m.submodules.reader = reader = CommandReader(Engine.VECTOR)
        m.submodules.decoder = decoder = CommandDecoder(lanes=lanes)
        connect(m, flipped(self.control.commands), reader.words)
        connect(m, reader.wait, flipped(self.control.wait))
        command, flags = reader.o.payload, reader.o.payload.flags
        m.d.comb += decoder.i.eq(command)

        # What the decoder says belongs to the command on offer from the second cycle on in which it is there, and one more
        # cycle later it is known that there is something to compute: in most cases while the command before it runs.
        # A command starts in two steps. `start`: it takes over walker and readers as soon as the last beat of the command
        # before it is in the lanes, but its requests wait until the last result is written (`closed`). `commit`: it takes
        # over lanes, reducers and writers when the command before it has signalled.
        start, commit, decoded = Signal(), Signal(), Signal()
        good, primed, running, failed = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            decoded.eq(reader.o.valid & ~reader.o.ready),
            good.eq(
                decoded
                & ~reader.o.ready
                & ~(reader.nop | decoder.illegal | decoder.empty | decoder.misaligned)
            ),
        ]
        free = Signal(init=1)
        m.d.comb += [start.eq(good & free & ~primed & ~failed), commit.eq(primed & ~running & ~failed)]
        pc, signal, function = Signal(15), Signal(4), Signal(Function)
        reduction = Signal(Reduction)
        writes, slow, twice = Signal(), Signal(), Signal()
        # What the lanes go by is a register of their own, a cycle behind: the first operands come many cycles after `commit`.
        control, lane_control = Signal(LaneControl), Signal(LaneControl)
        m.d.sync += lane_control.eq(control)
        decoded_control = Signal(LaneControl)
        latency = Signal(range(timing.longest + 1))
        LaneControl.decode(m, decoded_control, flags)
        bases = {name: Signal(32, name=f"base_{name}") for name in (*OPERANDS, "result")}
        with m.If(commit):
            m.d.sync += [base.eq(command[name]) for name, base in bases.items()]
            m.d.sync += [
                function.eq(flags.function),
                reduction.eq(flags.reduction),
                writes.eq(flags.d_mode != Mode.NONE),
                slow.eq(decoder.slow),
                twice.eq(decoder.twice),
                control.eq(decoded_control),
            ]
            with m.Switch(flags.function):
                for kind in FUNCTIONS:
                    with m.Case(kind):
                        m.d.sync += latency.eq(timing.latency(kind))
        reduces = reduction != Reduction.NONE

        # Requests: a beat waits until every operand has been asked for.
        m.submodules.walker = walker = BeatWalker(lanes=lanes)
        readers = {
            name: OperandReader(lanes=lanes, line_bytes=line_bytes, integers=name == "a") for name in "abc"
        }
        window = OperandReader.DEPTH - timing.multiply_latency
        requested = Signal(range(window + 1))
        m.submodules.beats = beats = StreamFifo(shape=beat_layout(lanes), depth=OperandReader.DEPTH)
        beat = beats.o.payload
        issue, advance, room_ahead, closed = Signal(), Signal(), Signal(), Signal()
        # `issue` is known late in its cycle, so what can be counted a cycle later is.
        issued, issued_beat = Signal(), Signal(beat_layout(lanes))
        ahead = Signal(init=1)
        m.d.sync += [requested.eq(requested + advance - issued), ahead.eq(requested < window - 1)]
        m.d.comb += [
            walker.load.eq(start),
            walker.n.eq(command.n),
            walker.rows.eq(decoder.rows),
            walker.slow.eq(decoder.slow),
            walker.advance.eq(advance),
            room_ahead.eq(walker.active & ahead),
            beats.i.valid.eq(advance),
            beats.i.payload.eq(walker.beat),
            beats.o.ready.eq(issue),
        ]
        blocked = 0
        for name, operand in readers.items():
            m.submodules[f"operand_{name}"] = operand
            connect(m, operand.port, flipped(getattr(self, name)))
            blocked |= operand.blocked
            m.d.comb += [
                operand.load.eq(start),
                operand.operand.eq(decoder.operands[name]),
                operand.slow.eq(decoder.slow),
                operand.closed.eq(closed),
                operand.walk.eq(room_ahead),
                operand.advance.eq(advance),
                operand.last.eq(walker.beat.last),
                operand.final.eq(walker.final),
                operand.claim.eq(issue),
                operand.claim_last.eq(beat.last),
            ]
        m.d.comb += [readers["a"].type.eq(flags.a_type), advance.eq(room_ahead & ~blocked)]

        # Issue.
        results, reductions = Signal(range(beats_under_way + 1)), Signal(range(_ROWS_UNDER_WAY + 1))
        hold, room = Signal(), Signal()
        # A register: places are kept for the beats of this cycle and of the last one.
        m.d.sync += room.eq(
            (results < beats_under_way - 2) & (reductions < _ROWS_UNDER_WAY - 2) & ~(start | primed)
        )
        m.d.comb += [
            issue.eq(
                beats.o.valid
                & readers["a"].available
                & readers["b"].available
                & readers["c"].available
                & room
                & ~hold
            ),
        ]
        element, index = Signal(32), Signal(32)
        m.d.sync += issued.eq(issue)
        with m.If(issue):
            m.d.sync += issued_beat.eq(beat)
        with m.If(issued):
            m.d.sync += index.eq(element)
        with m.If(start):
            m.d.sync += element.eq(0)
        with m.Elif(issued):
            m.d.sync += element.eq(Mux(issued_beat.last, 0, element + Mux(slow, 1, lanes)))

        # Lanes. Random numbers keep their operands in the registers until the words are there.
        m.submodules.random = random = RandomSequencer()
        m.submodules.path = path = BeatPath(lanes=lanes, longest=timing.longest, tap=timing.add_latency + 1)
        is_random, is_madd = function == Function.RANDOM, function == Function.MADD
        take_c, take_c_last = Signal(), Signal()
        in_random = Signal()
        m.d.comb += [
            random.start.eq(issued & is_random),
            path.latency.eq(latency),
            path.i_valid.eq(Mux(is_random, random.done, issued)),
            path.i.eq(issued_beat),
            take_c.eq(Mux(is_madd, path.tap_valid, issue)),
            take_c_last.eq(Mux(is_madd, path.tap_last, beat.last)),
        ]
        for name in "ab":
            m.d.comb += [readers[name].take.eq(issue), readers[name].take_last.eq(beat.last)]
        m.d.comb += [readers["c"].take.eq(take_c), readers["c"].take_last.eq(take_c_last)]
        for number, lane in enumerate(lane_array):
            m.submodules[f"lane_{number}"] = lane
            lane_index = Signal(32, name=f"index_{number}", reset_less=True)
            m.d.sync += lane_index.eq(index | Mux(slow, 0, number))
            m.d.comb += [
                lane.control.eq(lane_control),
                lane.a.eq(readers["a"].o[number]),
                lane.b.eq(Mux(twice, readers["a"].o[number], readers["b"].o[number])),
                lane.c.eq(readers["c"].o[number]),
                lane.load.eq(~in_random),
                lane.step.eq(random.step),
                lane.index.eq(lane_index),
            ]

        # Elements.
        m.submodules.integer_delay = integer_delay = BeatDelay(lanes=lanes, latency=timing.integer_latency)
        m.submodules.writer = writer = ElementWriter(
            lanes=lanes, line_bytes=line_bytes, depth=beats_under_way
        )
        connect(m, writer.port, flipped(self.d))
        integer_result = Signal()
        with m.If(commit):
            m.d.sync += integer_result.eq(flags.d_type.as_value() != 0)
        m.d.comb += [
            integer_delay.i_valid.eq(path.o_valid & writes & integer_result),
            integer_delay.i.eq(path.o),
            writer.load.eq(commit),
            writer.operand.eq(decoder.operands.d),
            writer.slow.eq(decoder.slow),
            writer.type.eq(flags.d_type),
            writer.i_valid.eq(integer_delay.o_valid | (path.o_valid & writes & ~integer_result)),
            writer.i_beat.eq(Mux(integer_result, integer_delay.o.as_value(), path.o.as_value())),
        ]
        for number, lane in enumerate(lane_array):
            m.d.comb += writer.i[number].eq(Mux(integer_result, lane.integer, lane.o))

        # Reductions.
        m.submodules.maximum = maximum = MaximumReducer(lanes=lanes)
        m.submodules.fixed_sum = fixed_sum = FixedSumReducer(lanes=lanes)
        m.submodules.sum = total = SumReducer(lanes=lanes)
        m.submodules.reduction_writer = reduction_writer = ReductionWriter(
            line_bytes=line_bytes, depth=_ROWS_UNDER_WAY
        )
        connect(m, reduction_writer.port, flipped(self.result))
        committed = Signal()
        m.d.sync += committed.eq(commit)
        is_sum, is_fixed_sum = reduction == Reduction.SUM, reduction == Reduction.FIXED_SUM
        for reducer, selected in (
            (total, is_sum),
            (fixed_sum, is_fixed_sum),
            (maximum, reduces & ~is_sum & ~is_fixed_sum),
        ):
            m.d.comb += [
                reducer.clear.eq(committed),
                reducer.i_valid.eq(path.o_valid & selected),
                reducer.i_beat.eq(path.o),
            ]
            m.d.comb += [reducer.i[number].eq(lane.o) for number, lane in enumerate(lane_array)]
        m.d.comb += [
            maximum.absolute.eq(reduction == Reduction.ABSMAX),
            maximum.slow.eq(slow),
            total.slow.eq(slow),
            reduction_writer.load.eq(commit),
            reduction_writer.address.eq(command.result),
            reduction_writer.indexed.eq(flags.reduction == Reduction.ARGMAX),
            reduction_writer.i_valid.eq(total.o_valid | fixed_sum.o_valid | maximum.o_valid),
            reduction_writer.i.index.eq(maximum.o.index),
            reduction_writer.i.value.eq(
                Mux(is_sum, total.o.value, Mux(is_fixed_sum, fixed_sum.o.value, maximum.o.value))
            ),
        ]
        m.d.sync += results.eq(results + (issued & writes) - writer.done)
        m.d.sync += reductions.eq(reductions + (issued & issued_beat.last & reduces) - reduction_writer.done)

        # Behind the last beat of a command, and the last addend of a multiply-add, the readers are free for the next one.
        addend = Signal(range(timing.multiply_latency + 2))
        written = Signal()
        with m.If(issue):
            m.d.sync += addend.eq(Mux(is_madd, timing.multiply_latency + 1, 0))
        with m.Elif(addend != 0):
            m.d.sync += addend.eq(addend - 1)
        all_walked = ~walker.active & (beats.level == 0)
        m.d.sync += free.eq(all_walked & (addend == 0) & ~start)
        m.d.comb += written.eq(
            ((results == 0) | ((results == 1) & writer.done))
            & ((reductions == 0) | ((reductions == 1) & reduction_writer.done))
        )
        m.d.sync += closed.eq((start | closed) & ~written)

        # What cannot take a beat per cycle: a partial sum whose last addition is not over, the tree of a row, a random
        # number.
        pause, in_tree = Signal(range(total.interval + 1)), Signal()
        with m.If(issue & is_sum):
            m.d.sync += [pause.eq(total.interval - 1), in_tree.eq(beat.last)]
        with m.Else():
            m.d.sync += pause.eq(Mux(pause == 0, 0, pause - 1))
            with m.If(total.o_valid):
                m.d.sync += in_tree.eq(0)
        with m.If(issue & is_random):
            m.d.sync += in_random.eq(1)
        with m.Elif(random.done):
            m.d.sync += in_random.eq(0)
        m.d.comb += hold.eq((pause != 0) | in_tree | in_random)

        # Beginning, end and errors.
        all_issued = primed | (all_walked & ~issued)
        quiet, quiet_before = all_issued & (results == 0) & (reductions == 0), Signal()
        faulty = Signal(5)
        faults = [
            readers["a"].fault,
            readers["b"].fault,
            readers["c"].fault,
            writer.fault,
            reduction_writer.fault,
        ]
        m.submodules.settled = settled = Settled()
        m.d.comb += [
            settled.still.eq(reader.waiting & ~running & ~failed),
            self.control.resting.eq(settled.o),
        ]
        error = self.control.error
        m.d.sync += [faulty.eq(Cat(faults)), quiet_before.eq(quiet)]
        m.d.comb += [self.control.busy.eq(reader.busy | running), self.control.error_valid.eq(failed)]
        with m.If(start):
            m.d.sync += primed.eq(1)
        with m.If(failed):
            pass
        with m.Elif(reader.error_valid):
            m.d.sync += [
                failed.eq(1),
                error.code.eq(ErrorCode.ILLEGAL_INSTRUCTION),
                error.pc.eq(reader.error_pc),
            ]
        with m.Elif(running):
            m.d.comb += self.control.signal.eq(signal)
            for fault, base in reversed(list(zip(faulty, bases.values(), strict=True))):
                with m.If(fault):
                    m.d.sync += [failed.eq(1), error.code.eq(ErrorCode.SCRATCHPAD), error.pc.eq(pc)]
                    m.d.sync += error.info.eq(base)
            # Whether the last write was refused is known a cycle after it, and here one later.
            with m.If(quiet & quiet_before & ~faulty[3] & ~faulty[4]):
                m.d.comb += self.control.signal_valid.eq(1)
                m.d.sync += running.eq(0)
        with m.Elif(primed):
            m.d.comb += reader.o.ready.eq(1)
            m.d.sync += [primed.eq(0), running.eq(1), pc.eq(command.pc), signal.eq(command.signal)]
        with m.Elif(decoded):
            m.d.comb += [
                reader.o.ready.eq(reader.nop | decoder.illegal | decoder.empty | decoder.misaligned),
                self.control.signal.eq(command.signal),
            ]
            m.d.sync += error.pc.eq(command.pc)
            with m.If(reader.nop):
                m.d.comb += self.control.signal_valid.eq(1)
            with m.Elif(decoder.illegal):
                m.d.sync += [
                    failed.eq(1),
                    error.code.eq(ErrorCode.PARAMETER),
                    error.info.eq(flags.as_value()),
                ]
            with m.Elif(decoder.empty):
                m.d.comb += self.control.signal_valid.eq(1)
            with m.Elif(decoder.misaligned):
                m.d.sync += [failed.eq(1), error.code.eq(ErrorCode.SCRATCHPAD)]
                m.d.sync += error.info.eq(decoder.misaligned_address)
        return m
