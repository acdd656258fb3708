# SPDX-License-Identifier: Apache-2.0
"""The top level of a board: PLL, clocks and I/O cells around the system, and nothing else.

What a family has for clocks and pins is in its own file, `tepin_fpga.families`; here they are brought together.
"""

from amaranth.back import verilog
from amaranth.hdl import ClockSignal, Const, Elaboratable, Instance, IOPort, Module, Signal

from tepin_fpga.families.ecp5 import SDRAM_CLOCK, SDRAM_PIN

__all__ = ["CLOCK", "SDRAM_CLOCK", "SYSTEM", "TOP", "BoardTop", "top_verilog"]

TOP, SYSTEM = "top", "tepin_system"
"""Names of the modules: the board's and the system's."""

CLOCK = "clk"
"""Name of the system's clock net."""


class BoardTop(Elaboratable):
    """The top level of `board` around a black box with the ports of its system.

    Parameters
    ----------
    board : Board
    ports : dict from str to (int, str)
        Of the system, without clock and reset, as `tepin.verilog.ports` gives them.
    settings
        Of the clock, from `Family.solve`.

    Members
    -------
    io : list of IOPort
        The ports of the top level.

    Raises
    ------
    ValueError
        If ports of the system and pins of the board do not go together; all that is wrong, in words.
    """

    def __init__(self, board, ports, settings):
        problems = list(_mismatches(board, ports))
        if problems:
            raise ValueError(f"{board.name}: " + "; ".join(problems))
        self._board, self._ports, self._settings = board, ports, settings
        self.io = [IOPort(len(pins.balls), name=port) for port, pins in board.pins.items()]

    def elaborate(self, platform):
        m = Module()
        signals = {name: Signal(width, name=f"system_{name}") for name, (width, _) in self._ports.items()}
        family, io = self._board.family, {port.name: port for port in self.io}
        given, reset = family.add_clocks(m, self._board, self._settings, io)
        for port in self.io:
            pins = self._board.pins[port.name]
            if given.get(port.name, port) is None:
                continue
            for bit in range(len(port)):
                wires = _wires(port.name, bit, pins, given, signals)
                name = f"pad_{port.name}_{bit}"
                m.submodules[name] = family.pad(port[bit], pins.direction, **wires)

        m.submodules.system = Instance(
            SYSTEM,
            i_clk=ClockSignal(),
            i_rst=reset,
            **{f"{'io'[way == 'output']}_{name}": signals[name] for name, (_, way) in self._ports.items()},
        )
        return m


def _wires(port, bit, pins, given, signals):
    """Arguments of `pad` for one pin of a port."""
    if pins.constant is not None:
        return {"output": Const(pins.constant >> bit & 1, 1)}
    if pins.direction == "i":
        return {"input": given.get(port, signals.get(port))[bit]}
    if pins.direction == "o":
        signal = given.get(port, signals.get(port))
        # A pin that the system has no signal for, such as an LED too many, is low.
        level = signal[bit] if bit < len(signal) else Const(0, 1)
        return {"output": ~level if pins.inverted else level}
    enable = signals[f"{port}_oe"]
    return {
        "output": signals[f"{port}_o"][bit],
        "enable": enable[bit if len(enable) > 1 else 0],
        "input": signals[f"{port}_i"][bit],
    }


def _mismatches(board, ports):
    """What is wrong with the ports of a system on a board, in words."""
    known = {}  # port of the system -> (widths that fit, direction)
    for port, pins in board.pins.items():
        width = len(pins.balls)
        if pins.constant is not None or port in (board.oscillator, SDRAM_PIN):
            continue
        if pins.direction == "io":
            known |= {f"{port}_o": ([width], "output"), f"{port}_i": ([width], "input")}
            known[f"{port}_oe"] = ([1, width], "output")
        elif pins.direction == "o":
            known[port] = (range(1, width + 1), "output")
        else:
            known[port] = ([width], "input")
    for port in known.keys() - ports.keys():
        yield f"the system has no port {port}"
    for port, (width, direction) in ports.items():
        if port not in known:
            yield f"there are no pins for port {port}"
        elif direction != known[port][1]:
            yield f"port {port} is an {direction}, its pins are not"
        elif width not in known[port][0]:
            yield f"port {port} has {width} bits, the board has pins for {max(known[port][0])}"


def top_verilog(board, ports, settings):
    """Verilog of the top level, without the system."""
    top = BoardTop(board, ports, settings)
    return verilog.convert(top, name=TOP, ports=top.io, emit_src=False, strip_internal_attrs=True)
