# SPDX-License-Identifier: Apache-2.0
"""A token's timeline with the rooflines, as SVG: what each engine does, what the port carries, what bounds the token."""

import math
from xml.sax.saxutils import escape

from tepin_host.errors import UserError
from tepin_host.simulation.trace import WINDOW

__all__ = ["plot"]

_LEFT, _WIDTH, _RIGHT = 90, 900, 20
_ROW, _GAP, _PORT, _ROOF = 18, 6, 90, 170
_COLOURS = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#bab0ac",
    "#2f4b7c", "#a05195",
)  # fmt: skip
_PORT_COLOURS = {"weights": "#b5562b", "loads": "#4e79a7", "stores": "#59a14f"}
_BINS = 450


def plot(timeline, executable, *, position):
    """SVG of the last token between two others.

    Parameters
    ----------
    timeline : Timeline
    executable : Executable
    position : int
        Of that token in the text: of the last token's, in the network.

    Raises
    ------
    UserError
        If the run had fewer than two tokens.
    """
    tokens = timeline.trace.tokens
    if len(tokens) < 2:
        raise UserError("a picture of a token takes two of them: it goes from one to the next")
    begin, end = tokens[-2:]
    engines = list(dict.fromkeys(piece.track for piece in timeline.slices))
    inside = [piece for piece in timeline.slices if piece.end > begin and piece.begin < end]
    colours = _Colours(inside)
    x = lambda cycle: _LEFT + _WIDTH * (min(max(cycle, begin), end) - begin) / (end - begin)  # noqa: E731
    y, body = 34, []
    for track in engines:
        body.append(_text(_LEFT - 8, y + 13, track, anchor="end"))
        rows = max((piece.row for piece in inside if piece.track == track), default=0)
        for piece in inside:
            if piece.track == track:
                left, height = x(piece.begin), _ROW / (rows + 1)
                label = f"{piece.part}: {piece.name}, {piece.end - piece.begin:,} cycles"
                body.append(
                    _box(
                        left,
                        y + piece.row * height,
                        max(x(piece.end) - left, 0.3),
                        height,
                        colours[piece.part] if track != "sequencer" else "#ccc",
                        title=label,
                    )
                )
        y += _ROW + _GAP
    y += (
        5 * _GAP
    )  # reads and writes have channels of their own: for a moment there may be more than a beat per cycle
    body += _port(timeline.trace.windows, begin, end, y)
    y += _PORT + 34
    body += colours.legend(y)
    y += 22 * colours.lines + 16
    body += _rooflines(executable.plan, position, end - begin, y)
    y += _ROOF + 56
    title = (
        f"{executable.name}, {executable.plan.weights} weights, token at position {position}: {end - begin:,} cycles, "
        f"{executable.plan.config.describe()}"
    )
    body.insert(0, _text(_LEFT, 20, title, weight="bold"))
    width = _LEFT + _WIDTH + _RIGHT
    return (
        "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">\n'
        + _box(0, 0, width, y, "#fff")
        + "\n"
        + "\n".join(body)
        + "\n</svg>\n"
    )


class _Colours:
    """A colour for each part, those that take longest first."""

    def __init__(self, slices):
        time = {}
        for piece in slices:
            if piece.track != "sequencer":
                time[piece.part] = time.get(piece.part, 0) + piece.end - piece.begin
        self._order = sorted(time, key=time.get, reverse=True)
        self.lines = -(-min(len(self._order), len(_COLOURS)) // 6)

    def __getitem__(self, part):
        return _COLOURS[min(self._order.index(part), len(_COLOURS) - 1)]

    def legend(self, y):
        named = self._order[: len(_COLOURS)]
        if len(self._order) > len(_COLOURS):
            named[-1] = "others"
        for index, name in enumerate(named):
            left, top = _LEFT + 150 * (index % 6), y + 22 * (index // 6)
            yield _box(left, top, 12, 12, _COLOURS[index])
            yield _text(left + 18, top + 11, name or "between parts")


def _port(windows, begin, end, y):
    """Share of the port's beats in each of `_BINS` spans, stacked, under the line that is its limit."""
    cumulated = {name: [0] for name in _PORT_COLOURS}
    for name, sums in cumulated.items():
        for window in windows[name].tolist():
            sums.append(sums[-1] + window)

    def beats(name, cycle):
        at = cycle / WINDOW
        whole = min(int(at), len(windows) - 1)
        sums = cumulated[name]
        return sums[whole] + (min(at, len(windows)) - whole) * (sums[whole + 1] - sums[whole])

    step = (end - begin) / _BINS
    base = [y + _PORT] * (_BINS + 1)
    yield _text(_LEFT - 8, y + _PORT / 2 + 4, "memory port", anchor="end")
    for name, colour in _PORT_COLOURS.items():
        top = list(base)
        for number in range(_BINS):
            start = begin + number * step
            share = (beats(name, start + step) - beats(name, start)) / step
            top[number] = base[number] - _PORT * share
        edges = _steps(top) + _steps(base)[::-1]
        yield f'<polygon points="{" ".join(edges)}" fill="{colour}"/>'
        base = top
    yield f'<path d="M{_LEFT} {y} h{_WIDTH}" stroke="#000" stroke-dasharray="4 3"/>'
    yield _text(_LEFT + _WIDTH, y - 4, "a beat in every cycle", anchor="end")
    yield f'<path d="M{_LEFT} {y + _PORT} h{_WIDTH}" stroke="#000"/>'
    for number in range(5):
        at = _LEFT + _WIDTH * number / 4
        yield f'<path d="M{at} {y + _PORT} v4" stroke="#000"/>'
        yield _text(at, y + _PORT + 17, f"{(end - begin) * number / 4:,.0f}", anchor="middle")
    for number, (name, colour) in enumerate(_PORT_COLOURS.items()):
        yield _box(_LEFT + 4 + 90 * number, y - 32, 10, 10, colour)
        yield _text(_LEFT + 18 + 90 * number, y - 23, name)


def _steps(heights):
    """Points of a curve that is level within each of the `_BINS` spans."""
    spans = [(number, number + side) for number in range(_BINS) for side in (0, 1)]
    return [f"{_LEFT + _WIDTH * place / _BINS:.1f},{heights[number]:.1f}" for number, place in spans]


def _rooflines(plan, position, cycles, y):
    """Multiplications per cycle over multiplications per byte, both logarithmic."""
    config = plan.config
    size, products = plan.useful_bytes(position), plan.multiplications(position)
    peak, intensity, reached = config.rows * config.columns, products / size, products / cycles
    low, high = 2.0**-3, 2.0**10
    floor = config.port_bytes * low / 2
    x = lambda value: _LEFT + _WIDTH * math.log(value / low) / math.log(high / low)  # noqa: E731
    top = y + 10
    height = lambda value: top + _ROOF * (1 - math.log(value / floor) / math.log(2 * peak / floor))  # noqa: E731
    ridge = peak / config.port_bytes
    yield f'<path d="M{_LEFT} {top} v{_ROOF} h{_WIDTH}" fill="none" stroke="#000"/>'
    roof = f"M{x(low):.1f} {height(config.port_bytes * low):.1f} L{x(ridge):.1f} {height(peak):.1f} H{x(high):.1f}"
    yield f'<path d="{roof}" fill="none" stroke="#000" stroke-width="2"/>'
    middle = math.sqrt(low * ridge)
    yield _text(
        x(middle) - 6,
        height(config.port_bytes * middle) - 6,
        f"memory: {config.port_bytes} bytes per cycle",
        anchor="end",
    )
    yield _text(
        x(high) - 4,
        height(peak) - 6,
        f"array: {config.rows} x {config.columns} = {peak} per cycle",
        anchor="end",
    )
    left, point = x(intensity), height(reached)
    limit = config.port_bytes * intensity
    yield f'<circle cx="{left:.1f}" cy="{point:.1f}" r="4" fill="#b5562b"/>'
    yield _text(
        left + 10,
        point + 14,
        f"this token: {reached:.2f} multiplications per cycle of {limit:.2f} that the memory allows, "
        f"{100 * reached / limit:.1f} %",
    )
    for power in range(-3, 11, 2):
        yield _text(x(2.0**power), top + _ROOF + 16, f"{2.0**power:g}", anchor="middle")
    yield _text(_LEFT + _WIDTH, top + _ROOF + 32, "multiplications per useful byte", anchor="end")
    yield _text(_LEFT - 8, top + 12, "per cycle", anchor="end")


def _box(x, y, width, height, colour, *, title=None):
    inside = f"<title>{escape(title)}</title></rect>" if title else ""
    head = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"'
    return f"{head}>{inside}" if title else f"{head}/>"


def _text(x, y, text, *, anchor="start", weight="normal"):
    style = "" if weight == "normal" else f' font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'
