# SPDX-License-Identifier: Apache-2.0
"""What can be the top of a design: the chip, one of its engines alone, a link, a stream unit or a memory controller.

All are made from one `ChipConfig`.

Each top comes with the name of its Verilog module and the meaning of its ports, for whoever wires it up.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tepin.chip import Chip, dma_engine, matmul_engine, vector_engine
from tepin.dma.copier import Copier
from tepin.link.serial_link import SerialLink
from tepin.link.switch import Switch
from tepin.matmul.array import SystolicArray
from tepin.memory.ports import ReadPort
from tepin.memory.sdram_axi import AXI4Sdram
from tepin.memory.sdram_parts import PARTS
from tepin.units.activation import ActivationUnit
from tepin.units.axi_stream import AXI4StreamUnit
from tepin.units.norm import NormUnit
from tepin.units.softmax import SoftmaxUnit

__all__ = ["TOPS", "Top"]


@dataclass(frozen=True, kw_only=True)
class Top:
    """A component that can stand alone.

    Members
    -------
    module : str
        Name of the Verilog module.
    make : callable(ChipConfig)
        Returns the component.
    ports : dict
        One line of meaning for every member of the component's signature, by its name.
    optional : dict
        The same for members that only some configurations have.
    port_names : dict
        Ports with another name in Verilog than usual, by the usual one.
    latency : str
        Cycles from input to output, for whoever builds around it.
    """

    module: str
    make: Callable
    ports: dict[str, str]
    optional: dict[str, str] = field(default_factory=dict)
    port_names: dict[str, str] = field(default_factory=dict)
    latency: str


_COMMANDS = (
    "commands for the engine (first word: QueueHeader, see the instruction set), semaphores that it waits for and signals, "
    "whether it is busy, and why a command failed"
)
_READ = f"scratchpad read port, data {ReadPort.LATENCY} cycles after the request:"
_WRITE = "scratchpad write port:"
_ROWS_IN = (
    "AXI4-Stream slave: rows of float32, lane 0 first; tkeep may be less than all at the end of a row only"
)
_ROWS_OUT = "AXI4-Stream master: rows of results, in the order of the rows"
_OVERFLOW = "high for good after a row of more than 8192 elements: the unit has to be reset"

TOPS = {
    "chip": Top(
        module="tepin",
        make=Chip,
        latency="by program, see docs/chip.md",
        ports={
            "s_axil": "AXI4-Lite slave: registers for the host; every access is of 32 bits",
            "m_axi": "AXI4 master: external memory; INCR bursts that never cross a 4 KiB boundary",
            "irq": "interrupt: high while an enabled event is pending",
            "probe_valid": "for simulation: probe_data is an element of a matmul that asked to be observed",
            "probe_data": "for simulation: the element, float32 or int32",
            "probe_last": "for simulation: it is the last one of its matmul",
        },
        optional={
            "link_i": "64-bit words from other chips, a stream for each link",
            "link_o": "64-bit words to other chips, a stream for each link; they must arrive complete and in order",
        },
    ),
    "array": Top(
        module="tepin_array",
        make=lambda config: SystolicArray(
            rows=config.rows, columns=config.columns, activation_width=config.activation_width
        ),
        latency="rows + 4 cycles from a pass to its sums; a pass per cycle",
        ports={
            "i_weights": "rows of weights, from row 0 of a tile up to the one that is marked last",
            "i": "passes: an activation for each row; `first` is the first one of its weight tile",
            "o": "sums of a pass, one for each column; always ready",
        },
    ),
    "matmul": Top(
        module="tepin_matmul",
        make=matmul_engine,
        latency="by command, see docs/matmul.md",
        ports={
            "control": _COMMANDS,
            "weights": "words of the weight stream",
            "activations": f"{_READ} activations and their scales",
            "scratch_weights": f"{_READ} weight streams that lie in the scratchpad",
            "o": f"{_WRITE} results and row maxima",
            "probe": "for simulation: results of commands that asked to be observed; always ready",
            "array_active": "activations enter the array in this cycle",
            "clear": "while no command is under way: zeros into all accumulators",
            "cleared": "that is done; falls after clear",
        },
    ),
    "vector": Top(
        module="tepin_vector",
        make=vector_engine,
        latency="by command, see docs/vector.md",
        ports={
            "control": _COMMANDS,
            "a": f"{_READ} operand a",
            "b": f"{_READ} operand b",
            "c": f"{_READ} operand c",
            "d": f"{_WRITE} results",
            "result": f"{_WRITE} reductions",
        },
    ),
    "dma": Top(
        module="tepin_dma",
        make=dma_engine,
        latency="by command and memory, see docs/dma.md",
        ports={
            "weights_control": f"weight loads: {_COMMANDS}",
            "loads_control": f"general loads: {_COMMANDS}",
            "stores_control": f"stores: {_COMMANDS}",
            "m_axi": "AXI4 master: memory; INCR bursts that never cross a 4 KiB boundary",
            "weights": "words of the weight stream, out of the weight FIFO",
            "write": f"{_WRITE} what loads bring",
            "read": f"{_READ} what stores take",
            "index": f"{_READ} index lists",
            "read_base": "first byte of memory that may be read",
            "read_limit": "last byte of memory that may be read; nothing, if below read_base",
            "write_base": "first byte of memory that may be written",
            "write_limit": "last byte of memory that may be written; nothing, if below write_base",
            "flush": "hold high until flush_done: drops all weight loads and empties the weight FIFO",
            "flush_done": "high from when that has happened until flush falls",
            "stop": "issue no more bursts, finish those under way",
            "idle": "no burst is under way: the engine may be reset without the memory noticing",
            "read_beat": "a beat was read in the last cycle",
            "write_beat": "a beat was written in the last cycle",
        },
    ),
    "copier": Top(
        module="tepin_copier",
        make=lambda config: Copier(
            data_width=config.port_width,
            outstanding=config.outstanding,
            buffer_beats=max(256, 1 << (16 * config.outstanding - 1).bit_length()),
        ),
        latency="n beats take n + 1 cycles and two latencies of the memory, see docs/dma.md",
        ports={
            "i": "runs to copy: source and destination of any alignment, and length in bytes; executed in order",
            "m_axi": "AXI4 master: memory; INCR bursts that never cross a 4 KiB boundary",
            "done": "for one cycle: the last answer of a run has come",
            "read_base": "first byte of memory that may be read",
            "read_limit": "last byte of memory that may be read; nothing, if below read_base",
            "write_base": "first byte of memory that may be written",
            "write_limit": "last byte of memory that may be written; nothing, if below write_base",
            "stop": "issue no more bursts, finish those under way",
            "idle": "after stop or an error: no burst is under way, the copier may be reset without the memory noticing",
            "error": "ErrorCode of the first error, until a reset; 0: none",
            "error_address": "the first byte outside of a window",
        },
    ),
    "link": Top(
        module="tepin_link",
        make=lambda config: SerialLink(),
        latency="see docs/link.md",
        ports={
            "i": "AXI4-Stream slave: 64-bit words to the other chip, accepted before the link is up, too",
            "o": "AXI4-Stream master: words from the other chip, each once and in order",
            "tx": (
                "to the output cells: where strobe is high, the first bits of all lanes, then the second bits; "
                "out of flip-flops"
            ),
            "rx": "from the input cells, likewise; has to come from flip-flops",
            "status": (
                "up: words move; broken: the other side has been reset, words are lost, this side has to be reset, too; "
                "counters of errors, replays and times the link went down"
            ),
        },
        port_names={
            f"{name}__{part}": f"{axis}_axis_t{suffix}"
            for name, axis in (("i", "s"), ("o", "m"))
            for part, suffix in (("payload", "data"), ("valid", "valid"), ("ready", "ready"))
        },
    ),
    "switch": Top(
        module="tepin_switch",
        make=lambda config: Switch(ports=4),
        latency="4 cycles from a word in to a word out",
        ports={
            "i": "64-bit words to other ports, a stream for each port; `port` is where a word goes",
            "o": "words from other ports, each once and in the order of its pair; `port` is where a word comes from",
            "refused": "a bit for each input: it has dropped a word for a port that does not exist",
        },
    ),
    "sdram": Top(
        module="tepin_sdram",
        make=lambda config: AXI4Sdram(part=PARTS["ulx3s"], clock_hz=100_000_000),
        latency=(
            "14 cycles from an address to its first beat if the row is open, and from the last beat of a write to its answer"
        ),
        ports={
            "s_axi": "AXI4 slave: the memory; INCR bursts of whole beats",
            "pins": "SDR SDRAM of 32 MB, 16 bits wide, at 100 MHz: every output is a flip-flop; dq_i has to come from one",
            "ready": "the memory is initialised; bursts are accepted before",
        },
    ),
    "softmax": Top(
        module="tepin_softmax",
        make=lambda config: AXI4StreamUnit(SoftmaxUnit(lanes=config.lanes)),
        latency="three passes over a row: see docs/units.md",
        ports={
            "s_axis": f"{_ROWS_IN}; tuser masks elements, a bit for each",
            "m_axis": _ROWS_OUT,
            "overflow": _OVERFLOW,
        },
    ),
    "norm": Top(
        module="tepin_norm",
        make=lambda config: AXI4StreamUnit(NormUnit(lanes=config.lanes)),
        latency="see docs/units.md",
        ports={
            "centre": "LayerNorm, otherwise RMSNorm; this and the next two stay while there are rows in the unit",
            "share": "float32 of 1 / n, for rows of n elements",
            "epsilon": "float32 that is added to the mean of the squares",
            "s_axis_parameters": (
                "AXI4-Stream slave: gains (the lower half of tdata) and biases of the elements; up to tlast, while there "
                "are no rows in the unit"
            ),
            "s_axis": _ROWS_IN,
            "m_axis": _ROWS_OUT,
            "overflow": _OVERFLOW,
        },
    ),
    "activation": Top(
        module="tepin_activation",
        make=lambda config: AXI4StreamUnit(ActivationUnit(lanes=config.lanes)),
        latency="constant, see docs/units.md; a beat per cycle",
        port_names={"function": "select"},
        ports={
            "function": "of the elements that are accepted in the same cycle: 0 SiLU, 1 sigmoid, 2 GELU",
            "s_axis": _ROWS_IN,
            "m_axis": _ROWS_OUT,
        },
    ),
}
"""Every top by the name that the command line uses."""
