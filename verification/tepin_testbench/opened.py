# SPDX-License-Identifier: Apache-2.0
"""A component whose inside is open to a proof: registers have names, and parts can be taken out.

An induction needs to say how registers relate to each other; simulations and designs do not, so this is of no use to them.
"""

from amaranth.hdl import Elaboratable, Fragment

__all__ = ["Opened"]


class Opened(Elaboratable):
    """A component, to be added as a submodule in its place.

    Parameters
    ----------
    component : Component
        Not elaborated before. Its own ports are used as ever.
    """

    def __init__(self, component):
        self._fragment = Fragment.get(component, None)
        self._signals = {}
        for statements in self._fragment.statements.values():
            for signal in statements._lhs_signals():
                self._signals.setdefault(signal.name, []).append(signal)

    def __getitem__(self, name):
        """The signal of that name that the component itself drives, not a part of it. `KeyError` if there is not just one."""
        found = self._signals.get(name, [])
        if len(found) != 1:
            raise KeyError(f"{len(found)} signals are called {name}")
        return found[0]

    def ongoing(self, state, fsm="fsm"):
        """Whether a state machine is in a state."""
        return self[f"{fsm}_state"] == self._fragment.find_generated(fsm).encoding[state]

    def cut(self, name):
        """Take out the submodule `name` and return it; who does that has to drive its outputs."""
        parts = self._fragment.subfragments
        for index, (fragment, its_name, _) in enumerate(parts):
            if its_name == name:
                del parts[index]
                return fragment.origins[0]
        raise KeyError(f"no submodule is called {name}")

    def release(self, signal):
        """Take out the one assignment that drives a signal in every cycle, and return its value; who does that drives it."""
        for statements in self._fragment.statements.values():
            found = [index for index, one in enumerate(statements) if getattr(one, "lhs", None) is signal]
            if len(found) == 1:
                return statements.pop(found[0]).rhs
        raise KeyError(f"{signal.name} is not driven by one assignment")

    def elaborate(self, platform):
        return self._fragment
