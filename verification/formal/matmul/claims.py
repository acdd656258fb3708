# SPDX-License-Identifier: Apache-2.0
"""What the proofs of this folder have in common: a design, claims about it, and bugs that make them false."""

from amaranth.lib.wiring import Component, In, Out

__all__ = ["Claims"]


class Claims(Component):
    """A design with assertions, whose inputs have any values that the assumptions allow.

    A class of claims has the attributes

    * `BUGS`: what may be wrong, in words, by name;
    * `COVERED`: one-bit outputs, that each can be high, and within how many cycles from reset;
    * `DEPTH`: cycles over which the claims are shown by induction;
    * `SEARCH`: cycles from reset in which each bug makes a claim fail.

    Parameters
    ----------
    inputs : dict of str to shape-like
    bug : str or None
        One of `BUGS`.
    """

    BUGS = {}
    COVERED = {}
    DEPTH = SEARCH = 0

    def __init__(self, inputs, *, bug=None):
        if bug is not None and bug not in self.BUGS:
            raise ValueError(f"bug must be one of {', '.join(self.BUGS)}, not {bug!r}")
        self._bug = bug
        ports = {name: In(shape) for name, shape in inputs.items()}
        super().__init__(ports | {name: Out(1) for name in self.COVERED})
