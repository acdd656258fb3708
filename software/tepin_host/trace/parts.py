# SPDX-License-Identifier: Apache-2.0
"""Which part of a model's program an instruction belongs to: `parts(executable)` writes it once more, and takes notes."""

from bisect import bisect_right
from dataclasses import dataclass

from tepin.program import CommandInstruction, decode
from tepin_host.compiler.llama import LlamaProgram

__all__ = ["Parts", "parts"]

_PROGRAM = {
    "_prepare": "start",
    "_fetch_prompt": "prompt",
    "_embed": "embedding",
    "_layer": "layer",
    "norm_and_quantize": "norm",
    "project": None,  # the name of the matrix
    "_feed_forward": "feed-forward",
    "add_to_x": "residual",
    "_prefetch_weights": "prefetch",
    "_load_layer": "prefetch",
    "gather": "gather",
}
_ATTENTION = {
    "emit": "attention",
    "load_current_pages": "open pages",
    "rotate": "rotary",
    "_insert_key": "key",
    "_insert_value": "value",
    "_store": "save pages",
    "_quantize_query": "query",
    "_current_block": "open block",
    "_full_blocks": "full blocks",
    "_normalise": "normalise",
}
_SAMPLER = {"emit": "classifier"}


@dataclass(frozen=True)
class Parts:
    """Where the parts of a program begin.

    Members
    -------
    places : list of int
        Program counters, ascending.
    names : list of str
        Of the part from each place on; "" where there is nothing to say.
    token, layer : int or None
        Program counters of the first command for a token, and of the first of a layer, which every token and layer has once.
    layer_end : int
        Behind the last instruction of a layer.
    """

    places: tuple = (0,)
    names: tuple = ("",)
    token: int | None = None
    layer: int | None = None
    layer_end: int = 0

    def name(self, pc):
        """The part that the instruction belongs to."""
        return self.names[bisect_right(self.places, pc) - 1]

    def number(self, commands):
        """(token, layer) of each command, given in the order of the program; None outside of tokens and layers."""
        token = layer = None
        for command in commands:
            if command.pc == self.token:
                token, layer = 0 if token is None else token + 1, None
            if command.pc == self.layer:
                layer = 0 if layer is None else layer + 1
            inside = self.layer is not None and self.layer <= command.pc < self.layer_end
            yield token, layer if inside else None


class _Noted(LlamaProgram):
    """Notes which instructions each part of the program's writer writes."""

    def _emit(self):
        self.notes = []  # (index of an instruction, the part that goes on from there)
        self._open = [""]
        for owner, methods in ((self, _PROGRAM), (self.attention, _ATTENTION), (self.sampler, _SAMPLER)):
            for method, name in methods.items():
                setattr(owner, method, self._noted(getattr(owner, method), name))
        super()._emit()

    def _noted(self, method, name):
        def noted(*arguments, **others):
            self._open.append(name or arguments[0])
            self._note("begin")
            result = method(*arguments, **others)
            self._open.pop()
            self._note("end")
            return result

        return noted

    def _note(self, what):
        self.notes.append((len(self.a), self._open[-1], what))


def parts(executable):
    """The `Parts` of an executable's program; empty ones if it is not what the compiler of this version writes."""
    noted = _Noted(executable.plan)
    if noted.words != list(executable.program):
        return Parts()
    places, commands, pc = [], [], 0
    while pc < len(noted.words):
        instruction, length = decode(noted.words, pc)
        if isinstance(instruction, CommandInstruction):
            commands.append(pc)
        places.append(pc)
        pc += length
    places.append(pc)
    names = {0: ""} | {places[index]: name for index, name, _ in noted.notes}
    begin = {name: places[index] for index, name, what in reversed(noted.notes) if what == "begin"}
    first = {name: next(pc for pc in commands if pc >= begin[name]) for name in ("embedding", "layer")}
    depth_of_layer = [places[index] for index, name, what in noted.notes if what == "end" and name == ""]
    end = next(pc for pc in depth_of_layer if pc > first["layer"])
    return Parts(tuple(names), tuple(names.values()), first["embedding"], first["layer"], end)
