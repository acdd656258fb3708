# SPDX-License-Identifier: Apache-2.0
"""Clock gating: a component that rests gets no clock.

Gating changes nothing but power, and the time that a compiled simulation takes: a component says that it rests only when
no register of it would change. So every design exists in two forms that take the same cycles: without gates, for FPGAs, and
with them, for simulation (`tepin.verilog.convert(..., clock_gates=True)`) and for ASICs (`tepin verilog --clock-gates`). A
gate is an instance of the module `tepin_clock_gate`, for which a library's own cell can be put.
"""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Instance, Module, Signal
from amaranth.lib.wiring import Component, In, Out

__all__ = ["CLOCK_GATE", "CLOCK_GATE_VERILOG", "Settled", "add_clock_gated"]

CLOCK_GATE = "tepin_clock_gate"

CLOCK_GATE_VERILOG = f"""\
module {CLOCK_GATE} (
  input wire clk,
  input wire enable,
  output wire gated
);
  // For simulation: a latch that is open while the clock is low keeps the enable still while it is high. In silicon, an
  // instance of the library's own cell.
  reg latched;
  always @* if (!clk) latched = enable;
  assign gated = clk & latched;
endmodule
"""
"""The gate for simulators; the only latch there is."""

_CYCLES = 8


class Settled(Component):
    """Tells when something has been still for long enough that what it left in pipelines is out of them.

    Members
    -------
    still : In(1)
    o : Out(1)
        `still` is high and has been for the last 8 cycles. Falls with `still` in the same cycle.
    """

    still: In(1)
    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        cycles = Signal(range(_CYCLES + 1))
        with m.If(~self.still):
            m.d.sync += cycles.eq(0)
        with m.Elif(cycles != _CYCLES):
            m.d.sync += cycles.eq(cycles + 1)
        m.d.comb += self.o.eq(self.still & (cycles == _CYCLES))
        return m


def add_clock_gated(m, platform, name, component, *, resting):
    """Add `component` as submodule `name` of `m`, in a clock domain of that name that stands still while `resting`.

    Parameters
    ----------
    m : Module
    platform : object
        What `elaborate` was given. Unless it has a true attribute `clock_gates`, the component stays in domain `sync`.
    name : str
    component : Component
        All its registers are in domain `sync`.
    resting : Value
        High if no register of the component will change at the next clock edge, except by a reset; may depend
        on its inputs.
    """
    if not getattr(platform, "clock_gates", False):
        m.submodules[name] = component
        return
    domain = ClockDomain(name, local=True)
    m.domains += domain
    # Any reset that reaches the surroundings sets this register, and a cycle later the component.
    reset = Signal(init=1, name=f"{name}_reset")
    m.d.sync += reset.eq(0)
    m.d.comb += domain.rst.eq(reset)
    m.submodules[f"{name}_clock_gate"] = Instance(
        CLOCK_GATE, i_clk=ClockSignal(), i_enable=~resting | reset, o_gated=domain.clk
    )
    m.submodules[name] = DomainRenamer(name)(component)
