"""Exact row arithmetic of stripes, for many stripes at once: which rows an operator needs, makes, and makes right.

Every operator keeps its options, so at an inner border its kernel pads where the whole image has neighbours: the rows
next to it come out wrong. A stripe of a tensor therefore has an extent (the rows that are there) and within it valid
rows (those that equal the whole tensor's). All numbers are rows of the whole tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcuprof.ops.rows import Rows

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Span:
    """Rows start … stop − 1 of a tensor, one pair per stripe."""

    start: Ints
    stop: Ints

    @property
    def rows(self) -> Ints:
        """How many rows there are."""
        return self.stop - self.start

    def covers(self, other: Span) -> Mask:
        """Where this holds all rows of `other`."""
        return (self.start <= other.start) & (self.stop >= other.stop)

    def hull(self, other: Span) -> Span:
        """The rows from the first to the last of both."""
        return Span(np.minimum(self.start, other.start), np.maximum(self.stop, other.stop))

    def within(self, other: Span) -> Span:
        """The rows that both have; empty ones may have a negative length."""
        return Span(np.maximum(self.start, other.start), np.minimum(self.stop, other.stop))

    def equals(self, other: Span) -> Mask:
        """Where both are the same rows."""
        same: Mask = (self.start == other.start) & (self.stop == other.stop)
        return same

    def at(self, chosen: Mask | Ints) -> Span:
        """The spans of the chosen stripes."""
        return Span(self.start[chosen], self.stop[chosen])


@dataclass(frozen=True, slots=True)
class Stripe:
    """What is there of a tensor (`extent`), and which of it is right (`valid`)."""

    extent: Span
    valid: Span

    def at(self, chosen: Mask | Ints) -> Stripe:
        """Those of the chosen stripes."""
        return Stripe(self.extent.at(chosen), self.valid.at(chosen))


def needed(rule: Rows, out: Span) -> Span:
    """The input rows that the output rows `out` (not empty) read; never empty."""
    if rule.up > 1:
        return Span(out.start // rule.up, -(-out.stop // rule.up))
    if not rule.spatial:
        return out
    before = rule.before if rule.pad is None else rule.pad[0]
    start = out.start * rule.stride - before
    stop = (out.stop - 1) * rule.stride - before + rule.span
    start = np.minimum(np.maximum(start, 0), rule.in_rows - 1)
    return Span(start, np.maximum(np.minimum(stop, rule.in_rows), start + 1))


def produced(rule: Rows, given: Stripe) -> tuple[Stripe, Mask]:
    """What the operator makes of the stripe, and for which stripes that is well defined.

    Its kernel must meet the whole tensor's grid of windows (a stride may step past it) and must not make rows beyond
    the whole output's.
    """
    if rule.pad is not None:
        return _padded(rule, given)
    if rule.up > 1:
        return Stripe(_enlarged(rule, given.extent), _enlarged(rule, given.valid)), given.extent.rows > 0
    here, right = given.extent, given.valid
    stride, span = rule.stride, rule.span
    rows = here.rows
    if not rule.spatial:
        return given, rows > 0
    if rule.same and stride == 1:
        return _same(rule, given)
    if rule.same:
        out = -(-rows // stride)
        local = np.maximum((out - 1) * stride + span - rows, 0) // 2  # TFLite ComputePaddingWithOffset
    else:
        out = (rows - span) // stride + 1
        local = np.zeros_like(rows)
    first = here.start - local + rule.before
    start = first // stride
    stop = start + out
    good = (first % stride == 0) & (start >= 0) & (stop <= rule.out_rows) & (out > 0)
    low = np.where(right.start == 0, 0, -(-(right.start + rule.before) // stride))
    high = np.where(right.stop == rule.in_rows, rule.out_rows, (right.stop - span + rule.before) // stride + 1)
    extent = Span(start, stop)
    return Stripe(extent, Span(low, high).within(extent)), good


def _enlarged(rule: Rows, span: Span) -> Span:
    return Span(span.start * rule.up, span.stop * rule.up)


def _same(rule: Rows, given: Stripe) -> tuple[Stripe, Mask]:
    """SAME with stride 1 keeps the rows, and pads as the whole tensor does: the general case without its divisions."""
    here, right = given.extent, given.valid
    low = np.where(right.start == 0, 0, right.start + rule.before)
    high = np.where(right.stop == rule.in_rows, rule.out_rows, right.stop - (rule.span - 1 - rule.before))
    return Stripe(here, Span(low, high).within(here)), here.rows > 0


def _padded(rule: Rows, given: Stripe) -> tuple[Stripe, Mask]:
    """Rows are added at the true borders only, and are right wherever they are; windows go over the padded rows."""
    assert rule.pad is not None
    (above, below), height, stride = rule.pad, rule.in_rows, rule.stride

    def padded(span: Span) -> Span:
        start = np.where(span.start == 0, 0, span.start + above)
        return Span(start, np.where(span.stop == height, above + height + below, span.stop + above))

    here, right = padded(given.extent), padded(given.valid)
    start = here.start // stride
    extent = Span(start, start + (here.rows - rule.span) // stride + 1)
    valid = Span(-(-right.start // stride), (right.stop - rule.span) // stride + 1)
    good = (here.start % stride == 0) & (extent.rows > 0) & (extent.stop <= rule.out_rows) & (given.extent.rows > 0)
    return Stripe(extent, valid.within(extent)), good


def join(stripes: list[Stripe]) -> Stripe:
    """The rows that all operands have; they are right where all are."""
    extent, valid = stripes[0].extent, stripes[0].valid
    for stripe in stripes[1:]:
        extent, valid = extent.within(stripe.extent), valid.within(stripe.valid)
    return Stripe(extent, valid.within(extent))
