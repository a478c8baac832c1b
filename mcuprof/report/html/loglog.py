"""A plot on two logarithmic axes: points that can be hovered, and lines that are straight there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mcuprof.report.html.markup import Markup, percentage, tag

# Beyond these no measure of a network lies, and a stored document may claim anything.
_RANGE = (1e-12, 1e12)


def drawable(value: float | None) -> bool:
    """True for what has a place on a logarithmic axis."""
    return value is not None and _RANGE[0] <= value <= _RANGE[1]


@dataclass(frozen=True, slots=True)
class Point:
    """One mark at (`x`, `y`), both `drawable`; `title` is `name: what it is`."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Guide:
    """y = `at` · x**`slope`, `at` drawable, slope 0 (level) or 1 (rising); dashed, labelled where it ends."""

    at: float
    slope: int
    label: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The powers of ten at the edges."""

    left: int
    right: int
    low: int
    high: int

    @classmethod
    def around(cls, points: Sequence[Point], levels: Sequence[float] = ()) -> Frame:
        """The smallest whole decades that hold the points, and these values of y."""
        xs = [math.log10(point.x) for point in points]
        ys = [math.log10(y) for y in (*(point.y for point in points), *levels)]
        return cls(math.floor(min(xs)), math.floor(max(xs)) + 1, math.floor(min(ys)), math.floor(max(ys)) + 1)


def plot(
    points: Sequence[Point], guides: Sequence[Guide], frame: Frame, label: str, ticks: Callable[[int], str]
) -> Markup:
    """The figure in its box. `ticks` writes a power of ten; there must be a point."""
    f = frame
    drawn: list[Markup] = []
    for exponent in _exponents(f.left, f.right):
        at = percentage(exponent - f.left, f.right - f.left)
        drawn.append(tag("line", class_="grid", x1=at, x2=at, y1="0", y2="100%"))
        anchor = "start" if exponent == f.left else "end" if exponent == f.right else "middle"
        drawn.append(tag("text", ticks(exponent), x=at, y="100%", dy="16", text_anchor=anchor))
    for exponent in _exponents(f.low, f.high):
        at = percentage(f.high - exponent, f.high - f.low)
        drawn.append(tag("line", class_="grid", x1="0", x2="100%", y1=at, y2=at))
        drawn.append(tag("text", ticks(exponent), x="0", dx="-6", y=at, dy=".35em", text_anchor="end"))
    for guide in guides:
        drawn += _guide(guide, f)
    for point in points:
        drawn.append(
            tag(
                "circle",
                tag("title", point.title),
                class_="point",
                cx=percentage(math.log10(point.x) - f.left, f.right - f.left),
                cy=percentage(f.high - math.log10(point.y), f.high - f.low),
                r="5",
            )
        )
    figure = tag("svg", *drawn, class_="scatter", role="group", aria_label=label)
    return tag("div", figure, class_="map scatter-box")


def _exponents(low: int, high: int) -> range:
    return range(low, high + 1, max(1, (high - low + 5) // 6))


def _guide(guide: Guide, f: Frame) -> list[Markup]:
    """The line, clipped to the plot."""
    at = math.log10(guide.at)
    if guide.slope == 0:
        x1, x2, y1, y2 = float(f.left), float(f.right), at, at
        inside = f.low <= at <= f.high
    else:
        x1, x2 = max(f.left, f.low - at), min(f.right, f.high - at)
        y1, y2 = x1 + at, x2 + at
        inside = x1 < x2
    if not inside:
        return []
    ends = {
        "x1": percentage(x1 - f.left, f.right - f.left),
        "x2": percentage(x2 - f.left, f.right - f.left),
        "y1": percentage(f.high - y1, f.high - f.low),
        "y2": percentage(f.high - y2, f.high - f.low),
    }
    line = tag("line", class_="diagonal" if guide.slope else "ceiling", **ends)
    dx, dy = ("-8", "16") if guide.slope else ("0", "-6")
    return [line, tag("text", guide.label, x=ends["x2"], dx=dx, y=ends["y2"], dy=dy, text_anchor="end")]
