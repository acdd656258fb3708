# SPDX-License-Identifier: Apache-2.0
"""The stream units with AXI4-Stream ports, for designs that are made of such."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AXI4StreamSignature", "AXI4StreamUnit"]


class AXI4StreamSignature(wiring.Signature):
    """An AXI4-Stream of `lanes` elements per beat: tdata, tkeep with a bit per byte, tlast, and tuser if it has bits.

    Parameters
    ----------
    width : int
        Bits of an element, whole bytes.
    lanes : int
    user : int
        Bits of tuser.
    """

    def __init__(self, *, width, lanes, user=0):
        fields = {"data": width * lanes, "keep": width // 8 * lanes, "last": 1}
        payload = data.StructLayout(fields | ({"user": user} if user else {}))
        super().__init__({"t": Out(stream.Signature(payload))})


class AXI4StreamUnit(wiring.Component):
    """A stream unit with every stream of its an AXI4-Stream: `i` is `s_axis`, `i_name` is `s_axis_name`, `o` is `m_axis`.

    A kept element is one whose first byte is kept. Masked elements are named by tuser. For parameters, gains are the lower
    half of tdata and biases the upper one; they are all kept. Other ports stay.

    Parameters
    ----------
    unit : `wiring.Component`
        One of `tepin.units`.
    """

    def __init__(self, unit):
        self._unit = unit
        members = {}
        for name, member in unit.signature.members.items():
            if member.is_signature:
                members[_axi_name(name)] = member.flow(self._signature(name))
            else:
                members[name] = member
        super().__init__(members)

    def _layout(self, name):
        return getattr(self._unit, name).payload.shape()

    def _signature(self, name):
        layout = self._layout(name)
        lanes = self._unit.lanes
        if "gain" in layout.members:
            return AXI4StreamSignature(width=64, lanes=lanes)
        user = lanes if "mask" in layout.members else 0
        return AXI4StreamSignature(width=layout.members["data"].elem_shape, lanes=lanes, user=user)

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self._unit
        for name, member in unit.signature.members.items():
            inner, outer = (
                getattr(unit, name),
                getattr(self, _axi_name(name) if member.is_signature else name),
            )
            if not member.is_signature:
                source, target = (outer, inner) if member.flow == In else (inner, outer)
                m.d.comb += target.eq(source)
            elif member.flow == In:
                self._connect_input(m, outer.t, inner)
            else:
                size = len(outer.t.payload.keep) // unit.lanes
                m.d.comb += [
                    outer.t.valid.eq(inner.valid),
                    inner.ready.eq(outer.t.ready),
                    outer.t.payload.data.eq(inner.payload.data.as_value()),
                    outer.t.payload.keep.eq(Cat(bit.replicate(size) for bit in inner.payload.keep)),
                    outer.t.payload.last.eq(inner.payload.last),
                ]
        return m

    def _connect_input(self, m, outer, inner):
        fields = inner.payload.shape().members
        m.d.comb += [
            inner.valid.eq(outer.valid),
            outer.ready.eq(inner.ready),
            inner.payload.last.eq(outer.payload.last),
        ]
        if "gain" in fields:
            half = len(outer.payload.data) // 2
            m.d.comb += [
                inner.payload.gain.as_value().eq(outer.payload.data[:half]),
                inner.payload.bias.as_value().eq(outer.payload.data[half:]),
            ]
            return
        size = len(outer.payload.keep) // self._unit.lanes
        m.d.comb += inner.payload.data.as_value().eq(outer.payload.data)
        m.d.comb += inner.payload.keep.eq(outer.payload.keep[::size])
        if "mask" in fields:
            m.d.comb += inner.payload.mask.eq(outer.payload.user)


def _axi_name(name):
    return {"i": "s_axis", "o": "m_axis"}.get(name, f"s_axis_{name.removeprefix('i_')}")
