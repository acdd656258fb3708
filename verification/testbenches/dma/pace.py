# SPDX-License-Identifier: Apache-2.0
"""Cycles of a testbench whose partners are generators, and their random pauses."""

__all__ = ["Pace"]


class Pace:
    """The time that several partners share.

    Parameters
    ----------
    rng : numpy.random.Generator
        All pauses come from here, in the order in which the partners ask.

    Attributes
    ----------
    cycle : int
        Whoever runs the partners counts it.
    pause : dict from name to float
        Probability of pausing in a cycle; 0 for a name that is not there.
    """

    def __init__(self, rng):
        self.cycle = 0
        self.pause = {}
        self._rng = rng
        self._drawn = []  # ahead, for it is quicker

    def go(self, name):
        """Whether the partner of that name does not pause in this cycle."""
        return self.draw() >= self.pause.get(name, 0.0)

    def draw(self):
        """A number from 0 to below 1."""
        if not self._drawn:
            self._drawn = self._rng.random(4096).tolist()
        return self._drawn.pop()
