# SPDX-License-Identifier: Apache-2.0
"""Proofs about components by SAT: k-induction for what always holds, and traces to what can happen.

A proof is about a component with `Assert` and `Assume` in it, usually a small one around the design. Its inputs are free:
they have any values in any cycle that the assumptions allow. In the first cycle registers have their initial values, and
there is no reset. Yosys turns the component into gates, CaDiCaL (in the package python-sat) solves.
"""

from amaranth.hdl import Assert
from pysat.solvers import Solver

from tepin_testbench.transitions import Transitions

__all__ = ["Refuted", "hold", "implies", "prove", "reach"]


class Refuted(AssertionError):
    """Something that should always hold does not; the message has the values of the ports, cycle by cycle."""


def implies(condition, claim):
    """An assertion of `claim` where `condition` holds; both have one bit."""
    return Assert(~condition | claim, src_loc_at=1)


def prove(component, *, depth):
    """Prove that no assertion of a component ever fails.

    By induction: none fails in the first `k` cycles, and none in a cycle that is preceded by `k` cycles, of whatever
    state but all different ones, in which none failed. Assertions are shown one after the other, by their lines in
    the source, each with those before it: one that helps the solver with those behind it pays.

    Parameters
    ----------
    component : Component
        Not elaborated before.
    depth : int
        The largest `k` to try.

    Raises
    ------
    Refuted
        An assertion can fail.
    RuntimeError
        Neither that nor a proof was found up to `depth`.
    """
    design = Transitions(component)
    start, step = _Cycles(design, initial=True), _Cycles(design, initial=False)
    for count in range(1, depth + 1):
        start.add()
        failed = start.first_failure()
        if failed:
            raise Refuted(f"{failed} can fail:\n{start.trace()}")
        if count == 1:
            step.add()
        step.hold()
        step.add()
        failed = step.first_failure()
        if not failed:
            return
    raise RuntimeError(f"no proof by induction over {depth} cycles: {failed} may fail after\n{step.trace()}")


def hold(component, *, depth):
    """Show that no assertion of a component fails in the first `depth` cycles; raises `Refuted` if one can."""
    design = Transitions(component)
    cycles = _Cycles(design, initial=True)
    for _ in range(depth):
        cycles.add()
        failed = cycles.first_failure()
        if failed:
            raise Refuted(f"{failed} can fail:\n{cycles.trace()}")


def reach(component, output, *, depth):
    """Show that a one-bit output of a component can be high, within `depth` cycles: what is proven is about something.

    Raises `RuntimeError` if it cannot.
    """
    design = Transitions(component)
    cycles = _Cycles(design, initial=True)
    for _ in range(depth):
        cycles.add()
        if cycles.possible(design.ports[output][0]):
            return
    raise RuntimeError(f"{output} is never high in the first {depth} cycles")


class _Cycles:
    """Consecutive cycles of a design, as clauses."""

    def __init__(self, design, *, initial):
        self._design = design
        self._solver = Solver(name="cadical153")
        self._count = 1
        self._solver.add_clause([1])  # Variable 1 is true.
        self._next = [
            (-1, 1)[init] if initial and init in (0, 1) else self._variable() for _, _, init in design.latches
        ]
        self._cycles = []
        self._states = None if initial else []

    def _variable(self):
        self._count += 1
        return self._count

    def add(self):
        """Append a cycle. Unless the first one is initial, no two have the same state: there would be a shorter way."""
        if self._states is not None:
            for state in self._states:
                self._solver.add_clause([self._differ(*pair) for pair in zip(state, self._next, strict=True)])
            self._states.append(self._next)
        clause, values = self._solver.add_clause, {0: -1, 1: 1}

        def define(literal, variable):
            values[literal], values[literal ^ 1] = variable, -variable

        for literal in self._design.inputs:
            define(literal, self._variable())
        for (literal, _, _), variable in zip(self._design.latches, self._next, strict=True):
            define(literal, variable)
        for output, left, right in self._design.gates:
            variable, left, right = self._variable(), values[left], values[right]
            define(output, variable)
            clause([-variable, left])
            clause([-variable, right])
            clause([variable, -left, -right])
        for literal in self._design.assumptions:
            clause([values[literal]])
        self._next = [values[literal] for _, literal, _ in self._design.latches]
        self._cycles.append(values)

    def _differ(self, left, right):
        """Something that is false if two variables are equal."""
        variable = self._variable()
        self._solver.add_clause([-variable, left, right])
        self._solver.add_clause([-variable, -left, -right])
        return variable

    def possible(self, literal):
        """Whether something can be high in the last cycle. If it cannot, that is known from then on."""
        variable = self._cycles[-1][literal]
        found = self._solver.solve(assumptions=[variable])
        if not found:
            self._solver.add_clause([-variable])
        return found

    def hold(self):
        """No assertion fails in the last cycle."""
        for literal, _ in self._design.failures:
            self._solver.add_clause([-self._cycles[-1][literal]])

    def first_failure(self):
        """The first assertion that can fail in the last cycle, or None."""
        return next((place for literal, place in self._design.failures if self.possible(literal)), None)

    def trace(self):
        """The values of the ports in the last solution: a row for each port, in hexadecimal."""
        model = self._solver.get_model()
        rows = []
        for name, bits in sorted(self._design.ports.items()):
            row = []
            for values in self._cycles:
                variables = {bit: values[literal] for bit, literal in bits.items()}
                row.append(sum(((model[abs(v) - 1] > 0) ^ (v < 0)) << bit for bit, v in variables.items()))
            digits = -(-(max(bits) + 1) // 4)
            rows.append((name, " ".join(f"{value:0{digits}x}" for value in row)))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"  {name:{width}}  {row}" for name, row in rows)
