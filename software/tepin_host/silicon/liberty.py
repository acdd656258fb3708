# SPDX-License-Identifier: Apache-2.0
"""Reads a Liberty file: what the cells of a library compute, how large they are, and what a transition costs.

Energies are in picojoules, capacitances in picofarads, times in nanoseconds, leakage in nanowatts: a file with other units is
refused.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tepin.verilator import cache_directory
from tepin_host.errors import UserError

__all__ = ["Cell", "Library", "Table", "find_library", "read_library"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}();:,]|[^\s{}();:,"]+', re.DOTALL)
_SKIPPED = re.compile(r"/\*.*?\*/|\\\n|//[^\n]*", re.DOTALL)
_UNITS = {"time_unit": "1ns", "voltage_unit": "1V", "leakage_power_unit": "1nW"}

FILE = "osu018_stdcells.lib"


@dataclass(frozen=True)
class Table:
    """A quantity by load and slew of the input, of which either may be missing: linear between, constant beyond the ends."""

    loads: np.ndarray
    slews: np.ndarray
    values: np.ndarray

    def __call__(self, load, slew):
        """Values for arrays of loads and slews."""
        (i, x), (j, y) = _place(self.loads, load), _place(self.slews, slew)
        v = self.values
        low = v[i, j] * (1 - y) + v[i, np.minimum(j + 1, v.shape[1] - 1)] * y
        i = np.minimum(i + 1, v.shape[0] - 1)
        high = v[i, j] * (1 - y) + v[i, np.minimum(j + 1, v.shape[1] - 1)] * y
        return low * (1 - x) + high * x


def _place(axis, at):
    """Index of the cell of a table, and where in it; never beyond its ends."""
    if len(axis) < 2:
        return np.zeros(np.shape(at), int), np.zeros(np.shape(at))
    at = np.clip(at, axis[0], axis[-1])
    index = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, len(axis) - 2)
    return index, (at - axis[index]) / (axis[index + 1] - axis[index])


@dataclass
class Cell:
    """A cell.

    Members
    -------
    area : float
        In the units of the file: for the known libraries, square micrometres.
    leakage : float
        Nanowatts.
    capacitance : dict
        Of input pins, mean of rising and falling.
    functions : dict
        Of output pins, as Liberty writes them; of a flip-flop, empty.
    next_state : str or None
        Of a flip-flop: what it takes over.
    clock : str or None
        Its clock pin.
    output_energy : dict from str to list of Table
        By output pin: inside of the cell for a rising and a falling edge together; one table for each input that may be
        the cause.
    input_energy : dict from str to list of Table
        The same by input pin, for its own edges.
    transitions : dict from str to list of Table
        Slews of an output pin.
    """

    area: float = 0.0
    leakage: float = 0.0
    capacitance: dict = field(default_factory=dict)
    functions: dict = field(default_factory=dict)
    next_state: str | None = None
    clock: str | None = None
    output_energy: dict = field(default_factory=dict)
    input_energy: dict = field(default_factory=dict)
    transitions: dict = field(default_factory=dict)


@dataclass
class Library:
    """Name, operating point and cells of a file."""

    path: Path
    name: str
    voltage: float
    temperature: float
    process: float
    cells: dict


def find_library():
    """Path of the Liberty file, or None: TEPIN_LIBERTY, what `scripts/setup silicon` fetched, or what Debian installed."""
    places = [
        Path(os.environ["TEPIN_LIBERTY"]) if os.environ.get("TEPIN_LIBERTY") else None,
        cache_directory() / "liberty" / FILE,
        Path("/usr/share/qflow/tech/osu018") / FILE,
    ]
    return next((path for path in places if path and path.is_file()), None)


def read_library(path):
    """The `Library` of a file; `UserError` if it is none, or has other units than expected."""
    text = _SKIPPED.sub(" ", Path(path).read_text())
    try:
        tokens = iter(_TOKEN.findall(text))
        groups, _ = _group(tokens)
        ((name, top),) = [(arguments[0], body) for kind, arguments, body in groups if kind == "library"]
    except (ValueError, IndexError, StopIteration):
        raise UserError(f"{path} is not a Liberty file") from None
    groups, values = top
    for unit, expected in _UNITS.items():
        if values.get(unit, [expected])[0] != expected:
            raise UserError(f"{path}: {unit} is {values[unit][0]}, expected {expected}")
    if [word.lower() for word in values.get("capacitive_load_unit", ["1", "pf"])] != ["1", "pf"]:
        raise UserError(f"{path}: capacitive_load_unit must be 1 pf")
    templates = {arguments[0]: body[1] for kind, arguments, body in groups if kind.endswith("_template")}
    cells = {arguments[0]: _cell(body, templates) for kind, arguments, body in groups if kind == "cell"}
    nominal = [float(values.get(f"nom_{what}", ["0"])[0]) for what in ("voltage", "temperature", "process")]
    return Library(Path(path), name, *nominal, cells)


def _group(tokens):
    """Groups [(kind, arguments, body)] and values {name: [words]} up to the closing brace or the end."""
    groups, values = [], {}
    for word in tokens:
        if word == "}":
            break
        if word == ";":
            continue
        mark = next(tokens)
        if mark == ":":
            words = []
            while (token := next(tokens)) != ";":
                words.append(token.strip('"'))
            values[word] = words
        elif mark == "(":
            words = []
            while (token := next(tokens)) != ")":
                if token != ",":
                    words.append(token.strip('"'))
            follower = next(tokens)
            if follower == "{":
                groups.append((word, words, _group(tokens)))
            else:
                values[word] = words
        else:
            raise ValueError(f"{mark!r} behind {word!r}")
    return groups, values


def _numbers(words):
    return np.array([float(part) for word in words for part in word.replace(",", " ").split()])


def _table(arguments, body, templates):
    values = body[1]
    template = templates.get(arguments[0], {}) if arguments else {}
    data = _numbers(values["values"])
    axes = {"load": np.zeros(1), "slew": np.zeros(1)}
    order = []
    for number in (1, 2):
        variable = template.get(f"variable_{number}")
        if variable:
            index = values.get(f"index_{number}") or template[f"index_{number}"]
            which = "load" if variable[0] == "total_output_net_capacitance" else "slew"
            axes[which] = _numbers(index)
            order.append(which)
    data = data.reshape([len(axes[which]) for which in order] or (1, 1))
    if order == ["slew", "load"]:
        data = data.T
    elif len(order) == 1:
        data = data.reshape((-1, 1) if order == ["load"] else (1, -1))
    return Table(axes["load"], axes["slew"], data)


def _energies(groups, templates):
    """A table of the sum of both edges for each `internal_power` group."""
    result = []
    for kind, _, (inner, _) in groups:
        if kind != "internal_power":
            continue
        tables = {name: _table(arguments, body, templates) for name, arguments, body in inner}
        if "power" in tables:
            both = [tables["power"], tables["power"]]
        else:
            both = [tables[name] for name in ("rise_power", "fall_power") if name in tables]
        first = both[0]
        result.append(Table(first.loads, first.slews, sum(table.values for table in both)))
    return result


def _cell(body, templates):
    groups, values = body
    cell = Cell(float(values["area"][0]), float(values.get("cell_leakage_power", ["0"])[0]))
    for kind, arguments, (inner, own) in groups:
        if kind == "ff":
            cell.next_state = own["next_state"][0]
            cell.clock = own["clocked_on"][0]
        if kind != "pin":
            continue
        (name,) = arguments
        energies = _energies(inner, templates)
        if own["direction"][0] == "input":
            edges = [
                own[f"{edge}_capacitance"][0] for edge in ("rise", "fall") if f"{edge}_capacitance" in own
            ]
            cell.capacitance[name] = float(np.mean(_numbers(edges or own["capacitance"])))
            cell.input_energy[name] = energies
        elif own["direction"][0] == "output":
            cell.functions[name] = own.get("function", [""])[0]
            cell.output_energy[name] = energies
            cell.transitions[name] = [
                _table(table_arguments, table, templates)
                for timing, _, (tables, _) in inner
                if timing == "timing"
                for table_name, table_arguments, table in tables
                if table_name in ("rise_transition", "fall_transition")
            ]
    return cell
