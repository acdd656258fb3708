# SPDX-License-Identifier: Apache-2.0
"""The matmul engine: commands in, results in the scratchpad."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..control.engine import CommandReader, EngineError, EngineSignature
from ..isa import Engine, ErrorCode
from ..memory.ports import ReadPort, WritePort
from .accumulator import Accumulator
from .activations import ActivationReader, pass_tag
from .array import SystolicArray
from .decoder import WeightDecoder
from .dispatcher import Dispatcher
from .drain import Drain, ProbeItem

__all__ = ["MatmulEngine"]


class MatmulEngine(wiring.Component):
    """Executes matmul commands: y[m][n] = (f32(sum over k of a[m][k] * w[k][n]) * s_w[n]) * s_a[m].

    Up to four commands are in progress: while one drains, the array works on the next, and weights and activations are
    read for the one after that. Results and signals come in the order of the commands. Commands in progress do not wait
    for each other's results; semaphores see to that.

    In the steady state a weight tile (`rows` x `columns`) takes max(rows, passes) cycles; an activation row is one pass, or
    two if it is int16 and `activation_width` is 8. int4 parameters and channel scales take cycles of their own in the
    stream of weights (one in 33, and up to 4 per column tile). Draining takes one cycle per element, meanwhile; int32 results
    leave `drain_width` at a time, as soon as they are complete, see :class:`tepin.matmul.drain.Drain`.

    Errors: `PARAMETER` with the offending m, k or n (m beyond `accumulator_rows`, k beyond 131,071, or any of them 0), or
    with the flags (there are no maxima of int32 results); `SCRATCHPAD` with the address that was out of range;
    `ILLEGAL_INSTRUCTION` if a command's length contradicts its flags. After an error the engine has to be reset.

    Parameters
    ----------
    rows : int
        Rows of the array, even, 2 to 64.
    columns : int
        Columns of the array, a multiple of 4, 4 to 64.
    activation_width : int
        8 or 16.
    accumulator_rows : int
        Largest m, 1 to 1024.
    line_bytes : int
        Bytes of a scratchpad line, a power of two, at least 2 x `rows` and `fifo_word_bytes`.
    fifo_word_bytes : int
        Bytes of a weight FIFO word, a power of two, at least `columns`.
    drain_width : int
        int32 results that are stored per cycle: a power of two that divides `columns`, in at most a line. With more than one,
        and if a weight tile fills lines, tiles in the scratchpad are read as a whole, see
        :class:`tepin.matmul.weight_reader.WeightReader`, and their first passes enter after their first row.
    architecture : str or None
        Form of the array's multipliers, see :class:`tepin.float.multiplier.IntegerMultiplier`.

    Members
    -------
    control : Out `EngineSignature`
    weights : In stream of words from the weight FIFO
    activations, scratch_weights : Out `ReadPort`
    o : Out `WritePort`
    probe : Out stream of `ProbeItem`, always ready
        Every element of jobs with the `observe` flag, in the order [tile][m][n]. For simulation.
    array_active : Out, high in every cycle in which a pass enters the array
    clear, cleared : In, Out
        While no command is in progress: zeros into all accumulators as long as `clear` is high; `cleared` rises when all are
        written.
    """

    def __init__(
        self,
        *,
        rows,
        columns,
        activation_width,
        accumulator_rows,
        line_bytes,
        fifo_word_bytes,
        drain_width=1,
        architecture=None,
    ):
        if not 2 <= rows <= 64 or rows % 2:
            raise ValueError(f"rows must be even, 2 to 64, not {rows}")
        if not 4 <= columns <= 64 or columns % 4:
            raise ValueError(f"columns must be a multiple of 4, 4 to 64, not {columns}")
        if activation_width not in (8, 16):
            raise ValueError(f"activation_width must be 8 or 16, not {activation_width}")
        if not 1 <= accumulator_rows <= 1024:
            raise ValueError(f"accumulator_rows must be 1 to 1024, not {accumulator_rows}")
        if fifo_word_bytes < columns or fifo_word_bytes & (fifo_word_bytes - 1):
            raise ValueError(
                f"fifo_word_bytes must be a power of two and at least columns ({columns}), not {fifo_word_bytes}"
            )
        least = max(2 * rows, fifo_word_bytes)
        if line_bytes < least or line_bytes & (line_bytes - 1):
            raise ValueError(
                "line_bytes must be a power of two and at least 2 x rows and fifo_word_bytes "
                f"({least}), not {line_bytes}"
            )
        if drain_width < 1 or drain_width & (drain_width - 1) or columns % drain_width:
            raise ValueError(
                f"drain_width must be a power of two that divides columns ({columns}), not {drain_width}"
            )
        if 4 * drain_width > line_bytes:
            raise ValueError(
                f"drain_width must be at most the words of a line ({line_bytes // 4}), not {drain_width}"
            )
        self.rows = rows
        self.columns = columns
        self.activation_width = activation_width
        self.accumulator_rows = accumulator_rows
        self.line_bytes = line_bytes
        self.fifo_word_bytes = fifo_word_bytes
        self.drain_width = drain_width
        self._architecture = architecture
        super().__init__(
            {
                "control": Out(EngineSignature()),
                "weights": In(stream.Signature(8 * fifo_word_bytes)),
                "activations": Out(ReadPort(line_bytes=line_bytes)),
                "scratch_weights": Out(ReadPort(line_bytes=line_bytes)),
                "o": Out(WritePort(line_bytes=line_bytes)),
                "probe": Out(stream.Signature(ProbeItem, always_ready=True)),
                "array_active": Out(1),
                "clear": In(1),
                "cleared": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        connect, flipped = wiring.connect, wiring.flipped
        # Where results leave row by row, a job alone is worth lines of weights ahead and first passes that enter early.
        tiles = self.drain_width > 1 and self.rows * self.columns % self.line_bytes == 0
        shape = {"rows": self.rows, "columns": self.columns}
        lines = {"accumulator_rows": self.accumulator_rows, "line_bytes": self.line_bytes}
        m.submodules.commands = commands = CommandReader(Engine.MATMUL)
        m.submodules.dispatcher = dispatcher = Dispatcher(accumulator_rows=self.accumulator_rows)
        m.submodules.decoder = decoder = WeightDecoder(
            **shape, word_bytes=self.fifo_word_bytes, line_bytes=self.line_bytes, tiles=tiles
        )
        m.submodules.reader = reader = ActivationReader(
            **shape, **lines, activation_width=self.activation_width
        )
        m.submodules.array = array = SystolicArray(
            **shape,
            activation_width=self.activation_width,
            tag=pass_tag(self.accumulator_rows),
            tiles=tiles,
            architecture=self._architecture,
        )
        m.submodules.accumulator = accumulator = Accumulator(
            **shape,
            activation_width=self.activation_width,
            accumulator_rows=self.accumulator_rows,
            drain_width=self.drain_width,
        )
        m.submodules.drain = drain = Drain(columns=self.columns, drain_width=self.drain_width, **lines)

        connect(m, flipped(self.control.commands), commands.words)
        connect(m, commands.wait, flipped(self.control.wait))
        connect(m, commands.o, dispatcher.i)
        m.d.comb += dispatcher.nop.eq(commands.nop)
        connect(m, dispatcher.o_weights, decoder.i_jobs)
        connect(m, dispatcher.o_addresses, decoder.i_addresses)
        connect(m, dispatcher.o_activations, reader.i)
        connect(m, dispatcher.o_drain, drain.i_jobs)

        # Weights and activations meet in the array. A column tile enters when it has an accumulator bank.
        connect(m, flipped(self.weights), decoder.i)
        connect(m, decoder.scratchpad, flipped(self.scratch_weights))
        connect(m, decoder.o, array.i_weights)
        connect(m, decoder.o_scales, drain.i_channel_scales)
        connect(m, reader.scratchpad, flipped(self.activations))
        connect(m, reader.o_scales, drain.i_activation_scales)
        banks = Signal(range(3))
        opens = reader.o.payload.tag.open
        hold = opens & (banks == 2)
        m.d.comb += [
            array.i.payload.eq(reader.o.payload),
            array.i.valid.eq(reader.o.valid & ~hold),
            reader.o.ready.eq(array.i.ready & ~hold),
            self.array_active.eq(array.i.valid & array.i.ready),
        ]
        opened = self.array_active & opens
        with m.If(opened & ~drain.released):
            m.d.sync += banks.eq(banks + 1)
        with m.Elif(drain.released & ~opened):
            m.d.sync += banks.eq(banks - 1)

        connect(m, array.o, accumulator.i)
        m.d.sync += accumulator.clear.eq(self.clear)
        m.d.comb += self.cleared.eq(accumulator.cleared)
        m.d.comb += [
            accumulator.read.eq(drain.read),
            drain.sums.eq(accumulator.o),
            drain.closed.eq(accumulator.closed),
        ]
        if self.drain_width > 1:
            m.d.comb += [drain.finished.eq(accumulator.finished), drain.row_sums.eq(accumulator.o_row)]
        connect(m, drain.o, flipped(self.o))
        connect(m, drain.probe, flipped(self.probe))

        m.d.comb += [
            dispatcher.done.eq(drain.done),
            dispatcher.done_slot.eq(drain.done_slot),
            self.control.signal_valid.eq(dispatcher.signal_valid),
            self.control.signal.eq(dispatcher.signal),
            self.control.busy.eq(commands.busy | dispatcher.busy),
        ]
        self._report_errors(m, commands, dispatcher, decoder, reader, drain)
        return m

    def _report_errors(self, m, commands, dispatcher, *parts):
        """A cycle after an error whatever comes first; of errors in the same cycle, that of the oldest command.

        A fault is kept without asking whether it is one, since that is known late. Wrong commands stay where they are.
        """
        error, valid = self.control.error, self.control.error_valid
        parameter, faults = Signal(), Signal(len(parts))
        m.d.sync += [
            valid.eq(commands.error_valid | dispatcher.error_valid | Cat(part.fault for part in parts).any()),
            parameter.eq(dispatcher.error_valid),
            faults.eq(Cat(part.fault for part in parts)),
        ]
        m.d.comb += [error.code.eq(ErrorCode.ILLEGAL_INSTRUCTION), error.pc.eq(commands.error_pc)]
        with m.If(parameter):
            m.d.comb += error.eq(dispatcher.error)
        for index, part in enumerate(parts):
            fault = Signal(EngineError, name=f"fault_{index}", reset_less=True)
            m.d.sync += [
                fault.code.eq(ErrorCode.SCRATCHPAD),
                fault.pc.eq(dispatcher.pcs[part.fault_slot]),
                fault.info.eq(part.fault_address),
            ]
            with m.If(faults[index]):
                m.d.comb += error.eq(fault)
