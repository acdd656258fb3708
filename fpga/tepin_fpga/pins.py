# SPDX-License-Identifier: Apache-2.0
"""Pins of a board: which package balls a port of the top level has, and the constraint file that says so."""

from dataclasses import dataclass, field

__all__ = ["Pins", "constraints", "resource_pins"]


@dataclass(frozen=True)
class Pins:
    """One port of the top level.

    Members
    -------
    balls : tuple of str
        From bit 0 up.
    direction : str
        "i", "o" or "io".
    attributes : dict from str to str
        Of the I/O buffers: IO_TYPE, DRIVE, PULLMODE, SLEWRATE and so on.
    registered : bool
        Must the flip-flop behind every bit be the one in the I/O cell?
    constant : int or None
        What an output without a signal drives.
    inverted : bool
        Are outputs low at the pin when the signal is high?
    """

    balls: tuple
    direction: str
    attributes: dict = field(default_factory=dict)
    registered: bool = False
    constant: int | None = None
    inverted: bool = False


def resource_pins(platform, name, number=0):
    """Pins of a resource in a platform definition of `amaranth-boards`.

    Returns
    -------
    dict from str to Pins
        By the names of the subsignals; a resource without any has one entry, "".

    Levels are those at the pins, whether or not the definition says that a signal is active low.
    """
    from amaranth.build import Attrs

    resource = next(entry for entry in platform.resources if (entry.name, entry.number) == (name, number))

    def collect(node, attributes):
        attributes = {**attributes, **getattr(node, "attrs", Attrs())}
        pins = node.ios[0]
        if hasattr(pins, "names"):
            return {node.name if node is not resource else "": Pins(tuple(pins.names), pins.dir, attributes)}
        return {key: value for entry in node.ios for key, value in collect(entry, attributes).items()}

    return collect(resource, {})


def constraints(ports, clocks):
    """Text of the constraint file (LPF).

    Parameters
    ----------
    ports : dict from str to Pins
        By name of the port. A port of one bit is a scalar in the netlist, a wider one a vector.
    clocks : dict from str to int
        Ports that clocks come in through, and Hz.

    Raises
    ------
    ValueError
        If a ball is used twice.
    """
    users = {}
    lines = ["BLOCK ASYNCPATHS;", "BLOCK RESETPATHS;"]
    for port, pins in ports.items():
        for bit, ball in enumerate(pins.balls):
            name = port if len(pins.balls) == 1 else f"{port}[{bit}]"
            if ball in users:
                raise ValueError(f"Ball {ball} cannot be both {users[ball]} and {name}")
            users[ball] = name
            lines.append(f'LOCATE COMP "{name}" SITE "{ball}";')
            settings = " ".join(f"{key}={value}" for key, value in pins.attributes.items())
            if settings:
                lines.append(f'IOBUF PORT "{name}" {settings};')
    for port, frequency in clocks.items():
        lines.append(f'FREQUENCY PORT "{port}" {frequency / 1e6:.6f} MHZ;')
    return "\n".join(lines) + "\n"
