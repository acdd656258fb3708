# SPDX-License-Identifier: Apache-2.0
"""Several chips and the links between them: how they are wired, and functional simulations that run together.

Chips are numbered; chip r is of *rank* r. Two ways to wire N of them:

    ring    port 0 of chip r to port 1 of chip r - 1, modulo N: two ports each, however many chips
    full    a link between any two chips; port p of chip r leads to chip p, or to p + 1 if that is not below r
"""

from dataclasses import dataclass

from tepin_reference.link import Port
from tepin_reference.simulator import ProgramError

__all__ = ["TOPOLOGIES", "Network", "run_together"]

TOPOLOGIES = ("ring", "full")


@dataclass(frozen=True)
class Network:
    """How chips are wired.

    Parameters
    ----------
    chips : int
        At least 2.
    topology : str
        One of `TOPOLOGIES`.
    """

    chips: int
    topology: str = "ring"

    def __post_init__(self):
        if self.chips < 2:
            raise ValueError(f"a network has at least 2 chips, not {self.chips}")
        if self.topology not in TOPOLOGIES:
            raise ValueError(f"topology must be {' or '.join(TOPOLOGIES)}, not {self.topology!r}")

    @property
    def links(self):
        """Ports that each chip needs."""
        return 2 if self.topology == "ring" else self.chips - 1

    def port_to(self, rank, other):
        """Port of chip `rank` in a full network that leads to chip `other`."""
        return other - (other > rank)

    def port_onward(self, rank):
        """Port of chip `rank` that leads to the chip behind it, and from the last one to the first."""
        return 1 if self.topology == "ring" else self.port_to(rank, (rank + 1) % self.chips)

    def port_back(self, rank):
        """Port of chip `rank` that leads to the chip before it."""
        return 0 if self.topology == "ring" else self.port_to(rank, (rank - 1) % self.chips)

    def wires(self):
        """All links, each once, as ((chip, port), (chip, port))."""
        if self.topology == "ring":
            return [((rank, 0), ((rank - 1) % self.chips, 1)) for rank in range(self.chips)]
        return [
            ((one, self.port_to(one, other)), (other, self.port_to(other, one)))
            for one in range(self.chips)
            for other in range(one + 1, self.chips)
        ]

    def other_end(self, chip, port):
        """(chip, port) at the other end of a link."""
        ends = {one: other for wire in self.wires() for one, other in (wire, wire[::-1])}
        return ends[chip, port]

    def ports(self):
        """Connected `Port`s, a list for each chip."""
        ports = [[None] * self.links for _ in range(self.chips)]
        for (one, one_port), (other, other_port) in self.wires():
            ports[one][one_port], ports[other][other_port] = Port.pair()
        return ports

    def gather_steps(self, rank):
        """How chip `rank` takes part in an all-gather, in which each chip gives its slot to all others.

        Yields (port, slot, follows) to send and (port, slot) to receive, for the exchanges to do one after the other. In a
        ring every slot travels through all chips, each of which sends on what it receives. In a full network each chip
        sends its own slot to one chip after the other. Either way every chip receives the slots rank + 1, rank + 2, ...
        """
        for step in range(1, self.chips):
            slot, other = (rank + step) % self.chips, (rank - step) % self.chips
            if self.topology == "ring":
                yield (0, (slot - 1) % self.chips, step > 1), (1, slot)
            else:
                yield (self.port_to(rank, other), rank, False), (self.port_to(rank, slot), slot)


def run_together(simulators, programs, *, limit=None):
    """Run a program on each of some linked `FunctionalSimulator`s, yielding (chip, token) for every token.

    A chip runs until it waits for another one; then the next one runs. So the order is the same every time.

    Raises
    ------
    ProgramError
        Of the first chip that fails, with `chip` set to its number; ErrorCode.LINK if all chips that have not ended wait
        for each other, or for one that has.
    """
    running = {
        chip: simulator.steps(program, limit=limit)
        for chip, (simulator, program) in enumerate(zip(simulators, programs, strict=True))
    }
    waiting = set()  # those that have waited since anybody last got on
    while running:
        for chip in list(running):
            before = simulators[chip].executed
            while (token := _next(chip, running[chip])) is not None and token is not _ENDED:
                yield chip, token
            if simulators[chip].executed != before:
                waiting.clear()
            if token is _ENDED:
                del running[chip]
            else:
                waiting.add(chip)
            if running and len(waiting) == len(running):
                raise _named(min(waiting), simulators[min(waiting)].lost())


_ENDED = object()


def _next(chip, steps):
    """The next token of a chip, None if it waits, or _ENDED."""
    try:
        return next(steps, _ENDED)
    except ProgramError as error:
        raise _named(chip, error) from None


def _named(chip, error):
    error.chip = chip
    error.args = (f"chip {chip}: {error}",)
    return error
