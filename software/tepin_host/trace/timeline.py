# SPDX-License-Identifier: Apache-2.0
"""A trace in words: what each command did, for which part of the model, and where it stands among those of its engine."""

from dataclasses import dataclass

from tepin.isa import (
    COMMANDS,
    ActivationType,
    Engine,
    EngineOp,
    Function,
    Mode,
    Reduction,
    WeightSource,
)
from tepin.program import CommandInstruction, Operand, listing
from tepin_host.trace.parts import Parts, parts

__all__ = ["Slice", "Timeline", "describe"]

_WAITS = {
    "wait": "waits for a semaphore",
    "push": "waits for the host",
    "fence": "waits for all engines",
    "end": "waits for all engines",
    "flush": "waits for the flush",
}
"""What the sequencer waits for at an instruction; at any other, for a place in a queue."""

_SCRATCHPAD_ADDRESSES = (
    *("local", "index", "activations", "output", "scale", "weights", "maximum"),
    *("a", "b", "c", "d", "result", "source", "target"),
)


@dataclass(frozen=True)
class Slice:
    """Something that took time.

    Members
    -------
    track : str
        Whose time: an engine, or "sequencer".
    row : int
        0, or more if something before it on the track has not ended yet.
    begin, end : int
        Cycles.
    name, part : str
    token, layer : int or None
    detail : dict
        What else is known: text or numbers.
    """

    track: str
    row: int
    begin: int
    end: int
    name: str
    part: str
    token: int | None
    layer: int | None
    detail: dict


def _bytes_moved(command):
    fields = command.fields
    return fields["length"] * fields.get("count", 1) * fields.get("count2", 1)


def _shape(fields):
    rows = fields.get("rows", 1)
    return f"{rows} x {fields['n']}" if rows != 1 else f"{fields['n']}"


def describe(command):
    """What a `TracedCommand` does, in a few words."""
    if command.nop:
        return "nop"
    flags, fields = COMMANDS[command.engine].flags.from_bits(command.flags), command.fields
    if command.engine in (Engine.WEIGHTS, Engine.LOADS, Engine.STORES):
        return f"{_bytes_moved(command):,} bytes"
    if command.engine == Engine.MATMUL:
        kind = "int16" if flags.activations == ActivationType.INT16 else "int8"
        place = " from the scratchpad" if flags.source == WeightSource.SCRATCHPAD else ""
        return f"{fields['m']} x {fields['k']} x {fields['n']} {kind} x {flags.weights.name.lower()}{place}"
    if command.engine == Engine.VECTOR:
        reduction = f", {flags.reduction.name.lower()}" if flags.reduction != Reduction.NONE else ""
        convert = (
            f" to {flags.d_type.name.lower()}" if flags.d_mode != Mode.NONE and flags.d_type.value else ""
        )
        return f"{Function(flags.function).name.lower()} {_shape(fields)}{reduction}{convert}"
    sent, received = fields.get("source_length", 0), fields.get("target_length", 0)
    return f"{sent:,} bytes out, {received:,} bytes in"


def _text(command):
    """The instruction as in a listing, with its fields' values."""
    fields = {name: Operand(0, value) for name, value in command.fields.items()}
    op = EngineOp.NOP if command.nop else EngineOp.RUN
    return str(CommandInstruction(command.engine, op, command.wait, command.signal, command.flags, fields))


class Timeline:
    """Slices of a trace.

    Parameters
    ----------
    trace : tepin_host.simulation.trace.Trace
    executable : Executable, optional
        What the chip ran: then parts and layers have names, and addresses say in what they are.

    Attributes
    ----------
    slices : list of Slice
        In the order of their tracks, then of their beginning.
    trace : Trace
    """

    def __init__(self, trace, executable=None):
        self.trace = trace
        self._regions = {"memory": {}, "scratchpad": {}}
        self._parts = Parts()
        program = ()
        if executable is not None:
            self._parts = parts(executable)
            program = executable.program
            plan = executable.plan
            self._regions["memory"] = {name: region.address for name, region in plan.memory.items()}
            self._regions["scratchpad"] = plan.scratchpad
        self.slices = self._commands() + self._waits(program)

    def _commands(self):
        by_engine = {engine: [] for engine in self.trace.engines}
        numbers = self._parts.number(self.trace.commands)
        for command, number in zip(self.trace.commands, numbers, strict=True):
            by_engine[command.engine].append((command, number))
        slices = []
        for engine, entries in by_engine.items():
            free = []  # when each row of the track is
            for command, (token, layer) in sorted(entries, key=lambda entry: entry[0].started):
                row = next((row for row, end in enumerate(free) if end <= command.started), len(free))
                free[row : row + 1] = [command.ended]
                slices.append(
                    Slice(
                        engine.name.lower(),
                        row,
                        command.started,
                        command.ended,
                        describe(command),
                        self._parts.name(command.pc),
                        token,
                        layer,
                        self._detail(command),
                    )
                )
        return slices

    def _detail(self, command):
        places = {
            name: self._place(name, value)
            for name, value in command.fields.items()
            if self._place(name, value)
        }
        return {
            "instruction": _text(command),
            "pc": command.pc,
            "issued": command.issued,
            "waited for its semaphore": command.waited,
            "waited for its engine": command.started - command.read - command.waited,
            **places,
        }

    def _place(self, field, value):
        """Name of the region that an address is in, and the offset there."""
        if field != "memory" and field not in _SCRATCHPAD_ADDRESSES:
            return None
        regions = self._regions["memory" if field == "memory" else "scratchpad"]
        below = [(address, name) for name, address in regions.items() if address <= value]
        if not below:
            return None
        address, name = max(below)
        return name if value == address else f"{name} + {value - address:#x}"

    def _waits(self, program):
        texts = {int(line.split()[0]): line[17:] for line in listing(program)}
        return [
            Slice(
                "sequencer",
                0,
                begin,
                end,
                _WAITS.get(texts.get(pc, "").split(" ")[0], "waits to issue"),
                self._parts.name(pc),
                None,
                None,
                {"instruction": texts.get(pc, ""), "pc": pc},
            )
            for begin, end, pc in self.trace.waits
        ]
