# SPDX-License-Identifier: Apache-2.0
"""A timeline as a file for https://ui.perfetto.dev: Chrome's trace event format, which is JSON."""

import json

from tepin_host.simulation.trace import WINDOW

__all__ = ["perfetto"]

_PROCESS = 1
_NS = 1000  # The format counts in microseconds: a cycle is shown as a nanosecond.


def perfetto(timeline, *, name="tepin"):
    """Text of the file.

    Each engine is a thread, or several if its commands overlap; a slice is an instruction, with its fields as arguments. The
    memory port is a counter: percent of its beats in each `WINDOW` cycles, for weights, loads and stores. A cycle is 1 ns.
    """
    events = [_metadata("process_name", 0, name)]
    tracks = list(dict.fromkeys(piece.track for piece in timeline.slices))
    threads = {}
    for track, row in sorted(
        {(piece.track, piece.row) for piece in timeline.slices},
        key=lambda key: (tracks.index(key[0]), key[1]),
    ):
        thread = threads[track, row] = 1 + len(threads)
        events.append(_metadata("thread_name", thread, track if row == 0 else f"{track} {row + 1}"))
        events.append(_metadata("thread_sort_index", thread, thread, key="sort_index"))
    for piece in timeline.slices:
        where = {"token": piece.token, "layer": piece.layer, "part": piece.part or None}
        where = {key: value for key, value in where.items() if value is not None}
        events.append(
            {
                "ph": "X",
                "pid": _PROCESS,
                "tid": threads[piece.track, piece.row],
                "ts": piece.begin / _NS,
                "dur": (piece.end - piece.begin) / _NS,
                "name": f"{piece.part}: {piece.name}" if piece.part else piece.name,
                "cat": piece.track,
                "args": where | piece.detail,
            }
        )
    for number, cycle in enumerate(timeline.trace.tokens):
        events.append(
            {"ph": "i", "s": "p", "pid": _PROCESS, "tid": 0, "ts": cycle / _NS, "name": f"token {number}"}
        )
    events += _port(timeline.trace.windows)
    header = {"displayTimeUnit": "ns", "otherData": {"unit of time": "1 ns is a cycle of the chip's clock"}}
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in events)
    return json.dumps(header)[:-1] + ', "traceEvents": [\n' + lines + "\n]}\n"


def _metadata(kind, thread, value, *, key="name"):
    return {"ph": "M", "pid": _PROCESS, "tid": thread, "name": kind, "args": {key: value}}


def _port(windows):
    """Counter events, only where something changes; the last one ends the curves."""
    before = None
    names = ("weights", "loads", "stores")
    for number, window in enumerate(windows):
        values = {name: round(100 * int(window[name]) / WINDOW, 1) for name in names}
        if values != before:
            yield _counter(number * WINDOW, values)
        before = values
    yield _counter(len(windows) * WINDOW, dict.fromkeys(names, 0))


def _counter(cycle, values):
    return {
        "ph": "C",
        "pid": _PROCESS,
        "ts": cycle / _NS,
        "name": "memory port, % of its beats",
        "args": values,
    }
