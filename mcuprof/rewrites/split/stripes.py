"""One region, many stripes: what each of them holds, costs and keeps in memory, worked out for all of them at once.

Crops. A stripe may be cropped at chosen cuts: a SLICE drops the rows that nobody needs, in place. A segment is what
lies between two crops; it starts from the fewest rows for which its operators meet their grids and make right what is
needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from mcuprof.ops import Rows
from mcuprof.rewrites.split.regions import Outline, Region
from mcuprof.rewrites.split.rows import Ints, Mask, Span, Stripe, join, needed, produced

MAX_REACH = 8  # so many rows more than needed may a segment start from, above and below


@dataclass(slots=True)
class Stripes:
    """The stripes of a region, one entry per stripe in every span.

    `wanted` are the rows of each output that the stripe delivers, `source` the rows of the region's source it starts
    from, `extent` the rows that each operator's output has, `crop` those left of it where it is cropped, `joined` those
    left of an operand for one operator (operator, tensor). `solved`: stripes that exist.
    """

    wanted: Mapping[int, Span]
    source: Span
    extent: dict[int, Span]
    crop: dict[int, Span]
    joined: dict[tuple[int, int], Span]
    solved: Mask
    needs: Mapping[int, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cost:
    """Per stripe: bytes in use at its worst step, multiply-accumulates, bytes copied by SLICE and how many SLICEs."""

    peak: Ints
    macs: Ints
    copied: Ints
    slices: Ints


def wanted_rows(outline: Outline, region: Region, start: Ints, stop: Ints) -> dict[int, Span]:
    """What stripes of rows start … stop of the last output deliver of every output.

    An earlier output is delivered as far down as the stripe needs it anyway.
    """
    last = region.outputs[-1]
    found = {}
    for output in region.outputs[:-1]:
        low, high = (_share(outline, region, output, rows) for rows in (start, stop))
        found[output] = Span(low, high)
    found[last] = Span(start, stop)
    return found


def _share(outline: Outline, region: Region, output: int, rows: Ints) -> Ints:
    """How many rows of `output` are delivered when `rows` rows of the last output are: all at the end."""
    last, height = region.outputs[-1], outline.height(region.outputs[-1])
    some = np.maximum(rows, 1)
    needs = _needs(outline, region, {last: Span(some - 1, some)})
    have = needs[output].stop if output in needs else some * outline.height(output) // height
    return np.where(rows == 0, 0, np.where(rows == height, outline.height(output), have))


def lay(
    outline: Outline,
    region: Region,
    crops: Collection[int],
    wanted: Mapping[int, Span],
    grain: int = 1,
) -> Stripes:
    """The stripes that deliver `wanted`; crops are a choice of the region's cuts.

    Every SLICE that is to lie on its operand begins a multiple of `grain` bytes behind it.
    """
    needs = _needs(outline, region, wanted)
    count = len(next(iter(wanted.values())).start)
    height = np.full(count, outline.height(region.source))
    image = Span(np.zeros(count, np.int64), height)
    stripes = Stripes(wanted, image, {}, {}, {}, np.ones(count, np.bool_), needs)
    given = {region.source: Stripe(image, image)}
    for side in region.sides:
        rows = Span(np.zeros(count, np.int64), np.full(count, outline.height(side)))
        given[side] = Stripe(rows, rows)
    for source, ops in _segments(outline, region, crops):
        found = _solve(outline, region, ops, source, given, stripes, grain)
        if source == region.source:
            stripes.source = found[source].extent
        else:
            stripes.crop[source] = found[source].extent
        for index in ops:
            output = outline.graph.ops[index].outputs[0]
            stripes.extent[output] = found[output].extent
            given[output] = found[output]
    return stripes


def cost(outline: Outline, region: Region, stripes: Stripes, scratch: Sequence[int], upward: bool = False) -> Cost:
    """What the stripes take when they run from the first row down, or from the last row `upward`.

    `scratch` holds bytes per operator of the graph.
    """
    graph = outline.graph
    zero = np.zeros_like(stripes.source.start)
    ops = range(region.first, region.last + 1)
    readers = [index for index in ops if region.source in graph.ops[index].inputs]
    before, after = _source_bytes(outline, region, stripes, upward)
    sides = [_side_bytes(outline, region, stripes, side, upward) for side in region.sides]
    base = zero + sum(graph.tensors[tensor].nbytes for tensor in region.beside)
    for output in region.outputs:
        rows = outline.height(output) - stripes.wanted[output].stop if upward else stripes.wanted[output].start
        base = base + rows * outline.row_bytes(output)
    peak, work, copied, slices = zero.copy(), zero.copy(), zero.copy(), zero.copy()
    whole = outline.height(region.source)
    sliced = (stripes.source.rows < whole).astype(np.int64)
    copied += sliced * stripes.source.rows * outline.row_bytes(region.source)
    slices += sliced
    held: dict[int, tuple[int, Ints]] = {}  # tensor → (last reader, bytes)
    for index in ops:
        output = graph.ops[index].outputs[0]
        extent = stripes.extent[output]
        row = outline.row_bytes(output)
        live = base + (before if index <= readers[-1] else after) + extent.rows * row + scratch[index]
        live = live + sum((nbytes for last, nbytes in held.values() if last >= index), zero)
        live = live + sum((there if index <= last else gone for last, there, gone in sides), zero)
        np.maximum(peak, live, out=peak)
        work += outline.macs[index] * extent.rows // outline.height(output)
        kept = extent.rows * row
        if output in stripes.crop:
            kept = stripes.crop[output].rows * row
            cropped = (kept < extent.rows * row).astype(np.int64)
            copied += cropped * kept
            slices += cropped
        last = max((i for i in graph.consumers.get(output, ()) if i <= region.last), default=-1)
        if output in stripes.wanted:
            delivered = stripes.wanted[output].rows * row
            moved = ~extent.equals(stripes.wanted[output])
            # A real copy: from then on both are there, as long as somebody reads the first.
            now = base + (before if index < readers[-1] else after) + moved * (extent.rows * row) + delivered
            now = now + sum((nbytes for until, nbytes in held.values() if until > index), zero)
            now = now + sum((there if index < last else gone for last, there, gone in sides), zero)
            np.maximum(peak, now, out=peak)
            copied += moved * delivered
            slices += moved
            base = base + delivered
            kept = np.where(moved, kept, 0)
        held[output] = last, kept
    for (_, tensor), span in stripes.joined.items():
        cropped = (span.rows < present(outline, region, stripes, tensor).rows).astype(np.int64)
        copied += cropped * span.rows * outline.row_bytes(tensor)
        slices += cropped
    return Cost(peak, work, copied, slices)


def present(outline: Outline, region: Region, stripes: Stripes, tensor: int) -> Span:
    """The rows of a tensor that its readers in the stripe find."""
    if tensor == region.source:
        return stripes.source
    if tensor in region.sides:
        return Span(np.zeros_like(stripes.source.start), np.full_like(stripes.source.start, outline.height(tensor)))
    return stripes.crop[tensor] if tensor in stripes.crop else stripes.extent[tensor]


def _source_bytes(outline: Outline, region: Region, stripes: Stripes, upward: bool) -> tuple[Ints, Ints]:
    """Bytes of the source in use until the stripe's last reader of it, and after."""
    if region.keeps:
        everything = np.full_like(stripes.source.start, outline.graph.tensors[region.source].nbytes)
        return everything, everything
    return _dying(outline, region, stripes, region.source, stripes.source, upward)


def _side_bytes(outline: Outline, region: Region, stripes: Stripes, side: int, upward: bool) -> tuple[int, Ints, Ints]:
    """(last reader of a side, its bytes in use until then, and after); none where it counts as beside."""
    readers = [i for i in outline.graph.consumers[side] if region.first <= i <= region.last]
    if side in region.beside:
        nothing = np.zeros_like(stripes.source.start)
        return readers[-1], nothing, nothing
    taken = present(outline, region, stripes, side)
    for number, index in enumerate(i for i in readers if (i, side) in stripes.joined):
        span = stripes.joined[index, side]
        taken = span if number == 0 else taken.hull(span)
    return readers[-1], *_dying(outline, region, stripes, side, taken, upward)


def _dying(
    outline: Outline, region: Region, stripes: Stripes, tensor: int, taken: Span, upward: bool
) -> tuple[Ints, Ints]:
    """Bytes in use of an image from outside that later stripes read only: with what this one takes, and without.

    All of them where the last output says nothing of it, as when only an earlier output is made of it.
    """
    height, row = outline.height(tensor), outline.row_bytes(tensor)
    last = region.outputs[-1]
    end = outline.height(last)
    if tensor not in _needs(outline, region, {last: stripes.wanted[last]}):
        everything = np.full_like(taken.start, height * row)
        return everything, everything
    if upward:
        rest = stripes.wanted[last].start
        following = {last: Span(np.maximum(rest, 1) - 1, np.maximum(rest, 1))}
        left = np.where(rest == 0, 0, _needs(outline, region, following)[tensor].stop)
        return np.maximum(taken.stop, left) * row, left * row
    rest = stripes.wanted[last].stop
    following = {last: Span(np.minimum(rest, end - 1), np.minimum(rest, end - 1) + 1)}
    left = np.where(rest == end, height, _needs(outline, region, following)[tensor].start)
    return (height - np.minimum(taken.start, left)) * row, (height - left) * row


def _needs(outline: Outline, region: Region, wanted: Mapping[int, Span]) -> dict[int, Span]:
    """Rows of every tensor of the region that must be right, for the rows that are wanted."""
    found = dict(wanted)
    for index in range(region.last, region.first - 1, -1):
        op, rule = outline.graph.ops[index], outline.rules[index]
        if op.outputs[0] not in found or rule is None:
            continue
        read = needed(rule, found[op.outputs[0]])
        for position in rule.inputs:
            tensor = op.inputs[position]
            found[tensor] = found[tensor].hull(read) if tensor in found else read
    return found


def _segments(outline: Outline, region: Region, crops: Collection[int]) -> Iterator[tuple[int, list[int]]]:
    """(tensor that it starts from, its operators), in order."""
    source, ops = region.source, []
    for index in range(region.first, region.last + 1):
        ops.append(index)
        output = outline.graph.ops[index].outputs[0]
        if output in crops:
            yield source, ops
            source, ops = output, []
    yield source, ops


def _solve(
    outline: Outline,
    region: Region,
    ops: Sequence[int],
    source: int,
    all_given: Mapping[int, Stripe],
    stripes: Stripes,
    grain: int,
) -> dict[int, Stripe]:
    """The tensors of one segment, from the fewest rows of its source that do; `stripes.solved` loses what fails."""
    graph = outline.graph
    given = all_given[source]
    need = stripes.needs[source]
    count = len(need.start)
    outputs = [graph.ops[index].outputs[0] for index in ops]
    checked = [tensor for tensor in outputs if tensor in stripes.wanted or tensor == outputs[-1]]
    found = {tensor: _empty(count) for tensor in (source, *outputs)}
    found |= {side: all_given[side] for side in region.sides}
    joined = {
        (index, tensor): _empty(count).extent for index in ops for tensor in _operands(outline, index, several=True)
    }
    row = outline.row_bytes(source)
    stride = 1
    for index in ops:
        stride *= _rule(outline, index).stride
    step = grain // int(np.gcd(grain, row))
    left = np.flatnonzero(stripes.solved)
    for above, below in _extensions(min(MAX_REACH, max(2 * stride if stride > 1 else 0, step - 1)), stride > 1):
        start = np.maximum(need.start[left] - above, given.extent.start[left])
        stop = np.minimum(need.stop[left] + below, given.extent.stop[left])
        first = Stripe(
            Span(start, stop), Span(start, stop).within(Span(given.valid.start[left], given.valid.stop[left]))
        )
        start_from = {source: first} | {side: all_given[side].at(left) for side in region.sides}
        made, crops, good = _forward(outline, ops, start_from)
        good &= (start - given.extent.start[left]) * row % grain == 0
        for (_, tensor), span in crops.items():
            good &= (span.start - made[tensor].extent.start) * outline.row_bytes(tensor) % grain == 0
        for tensor in checked:
            good &= made[tensor].valid.covers(stripes.needs[tensor].at(left))
        done = left[good]
        if len(done):
            for tensor, stripe in made.items():
                if tensor in region.sides:
                    continue
                _put(found[tensor], done, stripe.at(good))
            for key, span in crops.items():
                joined[key].start[done], joined[key].stop[done] = span.start[good], span.stop[good]
            left = left[~good]
        if not len(left):
            break
    stripes.solved[left] = False
    for key, span in joined.items():
        tensor = key[1]
        if not span.equals(found[tensor].extent)[stripes.solved].all():
            stripes.joined[key] = span
    return found


def _rule(outline: Outline, index: int) -> Rows:
    rule = outline.rules[index]
    assert rule is not None, "regions hold only operators with rules"
    return rule


def _operands(outline: Outline, index: int, several: bool = False) -> list[int]:
    """The tensors that an operator takes row by row; with `several`, none when it is only one."""
    op, rule = outline.graph.ops[index], _rule(outline, index)
    found = list(dict.fromkeys(op.inputs[position] for position in rule.inputs))
    return [] if several and len(found) == 1 else found


def _forward(
    outline: Outline, ops: Sequence[int], given: Mapping[int, Stripe]
) -> tuple[dict[int, Stripe], dict[tuple[int, int], Span], Mask]:
    """All tensors of a segment, operands cropped for operators that join several, and where all is well."""
    made = dict(given)
    crops: dict[tuple[int, int], Span] = {}
    good = np.all([stripe.extent.rows > 0 for stripe in given.values()], axis=0)
    for index in ops:
        op, rule = outline.graph.ops[index], _rule(outline, index)
        operands = _operands(outline, index)
        together = made[operands[0]]
        if len(operands) > 1:
            together = join([made[tensor] for tensor in operands])
            for tensor in operands:
                crops[index, tensor] = together.extent
        stripe, fits = produced(rule, together)
        good = good & fits & (together.extent.rows > 0)
        made[op.outputs[0]] = stripe
    return made, crops, good


@cache
def _extensions(reach: int, both: bool) -> tuple[tuple[int, int], ...]:
    """(rows above, rows below) by their sum: below only where strides ask for it."""
    pairs = [(above, below) for above in range(reach + 1) for below in range(reach + 1 if both else 1)]
    return tuple(sorted(pairs, key=lambda pair: (sum(pair), pair)))


def _empty(count: int) -> Stripe:
    return Stripe(*(Span(np.zeros(count, np.int64), np.zeros(count, np.int64)) for _ in range(2)))


def _put(into: Stripe, where: Ints, what: Stripe) -> None:
    into.extent.start[where], into.extent.stop[where] = what.extent.start, what.extent.stop
    into.valid.start[where], into.valid.stop[where] = what.valid.start, what.valid.stop
