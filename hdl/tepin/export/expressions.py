# SPDX-License-Identifier: Apache-2.0
"""Operators of a netlist as Verilog expressions whose operands have exactly the widths that Verilog expects.

Verilog takes the width of an operand from what stands around it. Here every operand is extended or cut in the open, so that
an expression means the same wherever it stands, and no tool has to warn of a width.
"""

from dataclasses import dataclass

from tepin.export.rtlil import Const, cut, join, width_of

__all__ = ["Operation", "operation"]

_UNARY = {
    "$not": "~",
    "$neg": "-",
    "$reduce_and": "&",
    "$reduce_or": "|",
    "$reduce_bool": "|",
    "$reduce_xor": "^",
}
_BINARY = {"$and": "&", "$or": "|", "$xor": "^", "$add": "+", "$sub": "-"}
_COMPARISON = {"$eq": "==", "$ne": "!=", "$lt": "<", "$le": "<=", "$gt": ">", "$ge": ">="}


@dataclass(frozen=True)
class Operation:
    """An operator: `template` holds `{0}`, `{1}`, ... for its operands.

    Members
    -------
    template : str
    operands : tuple of signals
    width : int
        Bits of the result of the expression, which may be more than those that are asked for: the lowest are meant.
    nests : bool
        Whether it may stand within another expression.
    """

    template: str
    operands: tuple
    width: int
    nests: bool = True


def operation(cell):
    """The `Operation` of a cell of the netlist. Raises `ValueError` for a kind that has none."""
    kind, ports = cell.kind, cell.ports
    width = cell.parameters.get("Y_WIDTH", cell.parameters.get("WIDTH"))
    signed = bool(cell.parameters.get("A_SIGNED"))
    a, b = ports.get("A"), ports.get("B")
    if b == ():
        b = (Const("0"),)
    if kind == "$mux":
        return Operation("{0} ? {1} : {2}", (ports["S"], b, a), width)
    if kind in ("$not", "$neg"):
        return Operation(_UNARY[kind] + "{0}", (_extend(a, width, signed),), width)
    if kind in _UNARY and not a:
        return Operation("1'd1" if kind == "$reduce_and" else "1'd0", (), 1)
    if kind in _UNARY:
        return Operation((_UNARY[kind] if width_of(a) > 1 else "") + "{0}", (a,), 1)
    if kind in _BINARY:
        operands = _extend(a, width, signed), _extend(b, width, signed)
        return Operation(f"{{0}} {_BINARY[kind]} {{1}}", operands, width)
    if kind in _COMPARISON:
        common = max(1, width_of(a), width_of(b))
        operands = _extend(a, common, signed), _extend(b, common, signed)
        if signed and kind not in ("$eq", "$ne"):
            return Operation(f"$signed({{0}}) {_COMPARISON[kind]} $signed({{1}})", operands, 1)
        return Operation(f"{{0}} {_COMPARISON[kind]} {{1}}", operands, 1)
    if kind == "$mul":
        operands = _extend(a, width, signed), _extend(b, width, signed)
        return Operation(
            "$unsigned($signed({0}) * $signed({1}))" if signed else "{0} * {1}", operands, width, False
        )
    if kind == "$shl":
        return Operation("{0} << {1}", (_extend(a, width, signed), b), width, False)
    if kind in ("$shr", "$shift", "$sshr"):
        if kind != "$sshr" and signed or cell.parameters["B_SIGNED"]:
            raise ValueError(f"{kind} with signed operands has no Verilog here")
        full = max(width, width_of(a))
        if kind == "$sshr":
            return Operation("$unsigned($signed({0}) >>> {1})", (_extend(a, full, signed), b), full, False)
        return Operation("{0} >> {1}", (_extend(a, full, False), b), full, False)
    raise ValueError(f"{kind} has no Verilog here")


def _extend(signal, width, signed):
    """The lowest `width` bits of a number."""
    missing = width - width_of(signal)
    if missing <= 0:
        return cut(signal, 0, width)
    if not signal:
        return (Const("0" * width),)
    fill = cut(signal, width_of(signal) - 1, 1) * missing if signed else (Const("0" * missing),)
    return join((*fill, *signal))
