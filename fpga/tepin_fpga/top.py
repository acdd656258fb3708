# SPDX-License-Identifier: Apache-2.0
"""The top level of a board: PLL, clocks and I/O cells around the system, and nothing else.

oscillator --> PLL --> gate --> clock of the system
                | \\            the same later, for the SDRAM's pin
                |  lock opens the gate

The system's own reset is not used: its registers have their initial values from the bitstream, and nothing moves before the
clock is steady. So no net has to bring a reset from one place to every register in a single cycle.
"""

from amaranth.back import verilog
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    IOPort,
    Module,
    Signal,
)
from amaranth.lib.cdc import FFSynchronizer

from tepin_fpga.ecp5 import clock_gate, clock_output, pad, pll_instance

__all__ = ["CLOCK", "SDRAM_CLOCK", "SYSTEM", "TOP", "BoardTop", "top_verilog"]

TOP, SYSTEM = "top", "tepin_system"
"""Names of the modules: the board's and the system's."""

CLOCK, SDRAM_CLOCK = "clk", "clk_sdram"
"""Names of the two clock nets."""

_SDRAM_PIN = "sdram__clk"


class BoardTop(Elaboratable):
    """The top level of `board` around a black box with the ports of its system.

    Parameters
    ----------
    board : Board
    ports : dict from str to (int, str)
        Of the system, without clock and reset, as `tepin.verilog.ports` gives them.
    pll : Pll

    Members
    -------
    io : list of IOPort
        The ports of the top level.

    Raises
    ------
    ValueError
        If ports of the system and pins of the board do not go together; all that is wrong, in words.
    """

    def __init__(self, board, ports, pll):
        problems = list(_mismatches(board, ports))
        if problems:
            raise ValueError(f"{board.name}: " + "; ".join(problems))
        self._board, self._ports, self._pll = board, ports, pll
        self.io = [IOPort(len(pins.balls), name=port) for port, pins in board.pins.items()]

    def elaborate(self, platform):
        m = Module()
        signals = {name: Signal(width, name=f"system_{name}") for name, (width, _) in self._ports.items()}
        oscillator, lock, steady = Signal(), Signal(), Signal()
        sdram_clock = Signal(name=SDRAM_CLOCK)
        m.domains.pll = ClockDomain(reset_less=True)
        m.domains.sync = ClockDomain(reset_less=True)
        m.submodules.pll = pll_instance(
            self._pll, clock=oscillator, output=ClockSignal("pll"), shifted=sdram_clock, lock=lock
        )
        m.submodules.lock = FFSynchronizer(lock, steady, o_domain="pll")
        m.submodules.gate = clock_gate(ClockSignal("pll"), steady, ClockSignal())

        given = {self._board.oscillator: oscillator}
        if _SDRAM_PIN in self._board.pins:
            given[_SDRAM_PIN] = Signal()
            m.submodules.sdram_clock = clock_output(sdram_clock, given[_SDRAM_PIN])
        for port in self.io:
            pins = self._board.pins[port.name]
            for bit in range(len(port)):
                wires = _wires(port.name, bit, pins, given, signals)
                name = f"pad_{port.name}_{bit}"
                m.submodules[name] = pad(port[bit], pins.direction, **wires)

        m.submodules.system = Instance(
            SYSTEM,
            i_clk=ClockSignal(),
            i_rst=Const(0, 1),
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
        return {"output": signal[bit] if bit < len(signal) else Const(0, 1)}
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
        if pins.constant is not None or port in (board.oscillator, _SDRAM_PIN):
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


def top_verilog(board, ports, pll):
    """Verilog of the top level, without the system."""
    top = BoardTop(board, ports, pll)
    return verilog.convert(top, name=TOP, ports=top.io, emit_src=False, strip_internal_attrs=True)
