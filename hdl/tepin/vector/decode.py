# SPDX-License-Identifier: Apache-2.0
"""From the fields of a vector command to how each operand walks, and whether the command can be executed."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tepin.control.engine import command_layout
from tepin.isa import DataType, Engine, Function, Mode, Reduction
from tepin.vector.walk import Operand

__all__ = ["CommandDecoder", "OPERANDS"]

OPERANDS = ("a", "b", "c", "d")


class CommandDecoder(wiring.Component):
    """Decodes a vector command. Registered: `i` has to stay, and the outputs belong to what it was in the last cycle.

    Parameters
    ----------
    lanes : int
        A power of two.

    Members
    -------
    i : In
        A command as `tepin.control.engine.CommandReader` offers it.
    operands : Out, an `Operand` each for a, b, c and d
    rows : Out(32)
    twice : Out(1)
        b is a once more, with the same address, strides and type: it counts as absent, and is to be taken from where a is.
    slow : Out(1)
        One element per beat, since an operand is neither contiguous nor the same for all of a row, or d not contiguous.
    empty : Out(1)
        There is nothing to do.
    illegal : Out(1)
        There is no such function or reduction.
    misaligned, misaligned_address : Out
        An address or a stride is not a multiple of the element size; address of the first such operand.
    """

    def __init__(self, *, lanes):
        self._lanes = lanes
        super().__init__(
            {
                "i": In(command_layout(Engine.VECTOR)),
                "operands": Out(data.StructLayout(dict.fromkeys(OPERANDS, Operand))),
                "rows": Out(32),
                "twice": Out(1),
                "slow": Out(1),
                "empty": Out(1),
                "illegal": Out(1),
                "misaligned": Out(1),
                "misaligned_address": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        command, flags = self.i, self.i.flags
        rows = Signal(32)
        m.d.comb += rows.eq(Mux(flags.two_dimensional, command.rows, 1))
        m.d.sync += self.rows.eq(rows)

        twice = Signal()
        same = [flags.a_mode == flags.b_mode, flags.a_type == DataType.FLOAT32]
        same += [command[f"a{field}"] == command[f"b{field}"] for field in ("", "_stride", "_row_stride")]
        m.d.comb += twice.eq(Cat(same).all())
        m.d.sync += self.twice.eq(twice)

        slow_operands = Signal(len(OPERANDS))
        slow = Signal()
        misaligned, misaligned_before = Signal(len(OPERANDS) + 1), Signal(len(OPERANDS) + 1)
        for index, name in enumerate(OPERANDS):
            operand = Signal(Operand, name=f"{name}_operand")
            m.d.sync += self.operands[name].eq(operand)
            mode = flags[f"{name}_mode"]
            log_size = self._log_size(m, name, flags)
            base, field_stride = command[name], command[f"{name}_stride"]
            field_row_stride = command[f"{name}_row_stride"]
            size = Signal(3, name=f"{name}_size")
            stride = Signal(32, name=f"{name}_element_stride")
            contiguous = Signal(name=f"{name}_contiguous")
            absent = (mode == Mode.NONE) | (twice if name == "b" else 0)
            m.d.comb += [size.eq(1 << log_size), operand.present.eq(~absent), operand.base.eq(base)]
            with m.Switch(mode):
                with m.Case(Mode.SCALAR):
                    m.d.comb += operand.per_row.eq(1)
                with m.Case(Mode.VECTOR):
                    m.d.comb += [
                        stride.eq(size),
                        contiguous.eq(1),
                        operand.row_stride.eq((command.n << log_size)[:32]),
                    ]
                with m.Case(Mode.STRIDED):
                    m.d.comb += [
                        stride.eq(field_stride),
                        contiguous.eq(field_stride == size),
                        operand.per_row.eq(field_stride == 0),
                        operand.row_stride.eq(field_row_stride),
                    ]
            flat = contiguous if name == "d" else contiguous | operand.per_row
            low = base[:2] | stride[:2] | operand.row_stride[:2]
            m.d.comb += [
                operand.beat_stride.eq(Mux(slow, stride, (stride << ceil_log2(self._lanes))[:32])),
                slow_operands[index].eq(operand.present & ~flat),
                misaligned[index].eq(operand.present & (low & (size - 1)[:2]).any()),
            ]
        reduces = flags.reduction != Reduction.NONE
        m.d.comb += [slow.eq(slow_operands.any()), misaligned[-1].eq(reduces & command.result[:2].any())]
        m.d.sync += [
            self.slow.eq(slow),
            self.misaligned.eq(misaligned.any()),
            misaligned_before.eq(misaligned),
            self.empty.eq((command.n == 0) | (rows == 0) | ~(reduces | (flags.d_mode != Mode.NONE))),
        ]
        for index, name in reversed(list(enumerate((*OPERANDS, "result")))):
            with m.If(misaligned_before[index]):
                m.d.comb += self.misaligned_address.eq(command[name])

        legal_function = flags.function.as_value().matches(*(function.value for function in Function))
        legal_reduction = flags.reduction.as_value().matches(*(reduction.value for reduction in Reduction))
        m.d.sync += self.illegal.eq(~(legal_function & legal_reduction))
        return m

    @staticmethod
    def _log_size(m, name, flags):
        """Logarithm of an operand's element size."""
        if name in ("b", "c"):
            return 2
        type = flags[f"{name}_type"]
        sizes = {DataType.FLOAT32: 2, DataType.INT32: 2, DataType.INT16: 1, DataType.INT8: 0}
        return Array(sizes[kind] for kind in DataType)[type.as_value()]
