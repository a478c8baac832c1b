"""Blocks of the Ethos-U85: input, accumulators, chained operands and output each have a RAM of their own."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import sqrt

import numpy as np

from mcuprof.costs.npu.blocks import PIECE, SPLIT_DEPTH, Block, Traversal, cheapest, depths, input_extent
from mcuprof.costs.npu.machine import Machine
from mcuprof.costs.npu.work import Kernel, Shape, Work, ceil_div, round_up

_LARGEST = Shape(128, 128, 1024)
# Accumulators come in this many channels, operands of a chain in this many slots.
_DEPTH = 16
_SLOTS = 6
# Microblocks that only move outputs of one input channel each (depthwise, pools), and those only for convolutions.
_EQUAL_DEPTH_ONLY = {(128, Shape(1, 1, 16)), (256, Shape(1, 2, 16))}
_CONVOLUTION_ONLY = {Shape(2, 2, 32), Shape(1, 4, 32), Shape(2, 2, 64), Shape(1, 4, 64)}
# Input is read in units of this area by depth class (up to 128, 256, more bits per position), for each microblock.
_UNITS = {
    128: {Shape(1, 2, 8): ((1, 2, 1), (1, 1, 2), (1, 1, 2)), Shape(1, 1, 16): ((1, 2, 1), (1, 1, 2), (1, 1, 2))},
    256: {
        Shape(2, 2, 8): ((2, 2, 1), (1, 2, 2), (1, 1, 4)),
        Shape(1, 2, 16): ((2, 2, 1), (1, 2, 2), (1, 1, 4)),
        Shape(1, 4, 8): ((1, 4, 1), (1, 2, 2), (1, 1, 4)),
    },
    512: {Shape(2, 2, 16): ((2, 2, 1), (1, 2, 2), (1, 1, 4)), Shape(1, 4, 16): ((1, 4, 1), (1, 2, 2), (1, 1, 4))},
    1024: {
        Shape(2, 2, 32): ((2, 4, 1), (2, 2, 2), (1, 2, 4)),
        Shape(2, 4, 16): ((2, 4, 1), (2, 2, 2), (1, 2, 4)),
        Shape(1, 4, 32): ((2, 4, 1), (1, 4, 2), (1, 2, 4)),
    },
    2048: {
        Shape(2, 2, 64): ((4, 4, 1), (2, 4, 2), (2, 2, 4)),
        Shape(4, 4, 16): ((4, 4, 1), (2, 4, 2), (2, 2, 4)),
        Shape(1, 4, 64): ((4, 4, 1), (2, 4, 2), (1, 4, 4)),
    },
}


def choose(work: Work, machine: Machine, sparse: bool = False) -> Block | None:
    """The block for `work`, or None when none fits."""
    shapes = tuple(each.shape for each in work.inputs)
    bits = work.inputs[0].bits
    engine = "copy" if work.name == "COPY" else work.engine
    found = _choose(
        machine, engine, shapes, work.output.shape, min(bits, 32), work.kernel, work.scaled, work.up, sparse
    )
    return replace(found, sparse=True) if sparse and found is not None else found


@lru_cache(maxsize=4096)
def _choose(
    machine: Machine,
    engine: str,
    shapes: tuple[Shape, ...],
    ofm: Shape,
    bits: int,
    kernel: Kernel,
    scaled: bool,
    up: int,
    sparse: bool,
) -> Block | None:
    ifm = max(shapes, key=lambda shape: shape.elements) if len(shapes) > 1 else shapes[0]
    wide = bits == 16 and engine not in {"pool", "reduce", "copy"} and scaled
    first = engine == "convolution" and _kernel_first(ifm.c, kernel, sparse)
    micro = _microblock(machine, engine, ofm, bits, one_tap=kernel.taps == 1 and not first)
    traversal: Traversal = "part-kernel" if first else "depthwise" if engine == "depthwise" else "depth-first"
    accumulator = 64 if wide else 32
    granule = Shape(micro.h, micro.w, _DEPTH)
    if engine == "elementwise":
        block = _elementwise(machine, shapes, ofm, bits, micro)
        return Block(block, block, micro, traversal, accumulator)
    input_depth = _input_depth(machine, micro, first, bits, sparse)
    if engine in {"depthwise", "pool", "reduce"}:
        fixed = input_depth if engine == "reduce" else 0
        return _fitted(machine, ifm, ofm, bits, kernel, micro, granule, fixed, traversal, accumulator)
    return _search(machine, engine, ifm, ofm, bits, kernel, micro, input_depth, traversal, accumulator, up)


def _kernel_first(depth: int, kernel: Kernel, sparse: bool) -> bool:
    """Does working through the window first use the MACs better than working through the input's channels first?"""
    taps, step = kernel.taps, 10 if sparse else 5
    used = taps // step * step + max(taps % step, 4 if sparse else 2)
    return depth / round_up(depth, 16) * (taps / used) >= depth / round_up(depth, 128 if sparse else 64)


def _microblock(machine: Machine, engine: str, ofm: Shape, bits: int, one_tap: bool) -> Shape:
    """The microblock that wastes least of those that can do this."""

    def able(micro: Shape) -> bool:
        if engine in {"elementwise", "resize"}:
            return not (engine == "resize" and micro in _CONVOLUTION_ONLY)
        narrow = (machine.chip.macs, micro) in _EQUAL_DEPTH_ONLY
        if engine == "convolution":
            return bits == 16 and one_tap if narrow else True
        if micro in _CONVOLUTION_ONLY:
            return False
        if engine == "reduce" or bits == 32:
            return not narrow
        # With 8 bits the small configurations do these in their deepest microblock only, with 16 bits in the others.
        small = machine.chip.macs <= 256
        return narrow == (bits == 8) if small else True

    candidates = [micro for micro in machine.micro if able(micro)] or list(machine.micro)
    return min(candidates, key=lambda micro: ofm.rounded(micro).elements)


def _input_depth(machine: Machine, micro: Shape, kernel_first: bool, bits: int, sparse: bool) -> int:
    if kernel_first:
        return 16
    if bits == 32 or (machine.chip.macs <= 256 and micro.c == 16 and not sparse):
        return 32
    return 128 if sparse and bits == 8 else 64


def _unit(machine: Machine, depth: int, bits: int, micro: Shape) -> Shape:
    """What the input RAM is allotted in."""
    at = 2 if depth * bits > 256 else 1 if depth * bits > 128 else 0
    h, w, c = _UNITS[machine.chip.macs][micro][at]
    return Shape(h, w, c * 128 // bits)


def _input_block(block: Shape, kernel: Kernel, unit: Shape, depth: int, up: int = 1) -> Shape:
    rows, columns = input_extent(block.h, block.w, kernel, up)
    return Shape(rows, columns, depth or block.c).rounded(unit)


# Element-wise ---------------------------------------------------------------------------------------------------------


def _elementwise(machine: Machine, shapes: tuple[Shape, ...], ofm: Shape, bits: int, micro: Shape) -> Shape:
    """Bounded by the output RAM, and by the chaining RAM where one operand is repeated."""
    granule = Shape(micro.h, micro.w, _DEPTH)
    whole = ofm.rounded(granule)
    limit = whole.clipped(_LARGEST)
    chained = machine.ram("chaining") // _SLOTS // (_DEPTH * bits // 8) // micro.h
    room = machine.ram("output") * 8 // bits // _DEPTH
    rows = _tile(whole.h, granule.h, limit.h)
    needed = max(_tile(whole.w, granule.w, min(room, limit.w)), granule.w)
    depth, columns = _share(_DEPTH, limit.c, room, needed)
    if len(shapes) > 1 and not any(shape.elements == 1 for shape in shapes):
        repeated = [any(shape[axis] < ofm[axis] for shape in shapes) for axis in range(3)]
        if repeated[2]:
            depth, columns = _tile(whole.c, _DEPTH, limit.c), chained
            if not repeated[0] and not repeated[1]:
                rows, columns = _share(micro.h, limit.h, columns, needed)
        elif repeated[0]:
            depth, columns = _share(_DEPTH, limit.c, chained, needed)
    return Shape(rows, columns, depth).rounded(granule)


def _tile(extent: int, granule: int, tile: int) -> int:
    """`tile` where it divides the extent, else the even split into one tile more."""
    if extent % tile == 0:
        return tile
    return max(round_up(extent // (extent // tile + 1), granule), granule)


def _share(value: int, most: int, room: int, needed: int) -> tuple[int, int]:
    """Give `value` what of `room` is not needed, by whole factors."""
    factor = min(room // needed, most // value)
    return (value * factor, room // factor) if factor >= 2 else (value, room)


# Depthwise, pools and sums --------------------------------------------------------------------------------------------


def _fitted(
    machine: Machine,
    ifm: Shape,
    ofm: Shape,
    bits: int,
    kernel: Kernel,
    micro: Shape,
    granule: Shape,
    fixed: int,
    traversal: Traversal,
    accumulator: int,
) -> Block:
    """A block of the output's aspect that fills the accumulators, less what prefetching a row of input needs."""
    whole = ofm.rounded(granule)
    room = machine.ram("input") * 8 // bits
    h, w, c = _area(machine, whole, ifm, bits, kernel, micro, granule, fixed, accumulator)
    force = 0
    while True:
        unit = _unit(machine, fixed or c, bits, micro)
        needed = _input_block(Shape(h, w, c), kernel, unit, fixed)
        if not (w < whole.w or h < whole.h or c < whole.c):
            break
        row = _input_block(Shape(granule.h, w, c), kernel, unit, fixed)
        if room - needed.elements >= row.elements:
            break
        if (h != whole.h or force & 2) and h > granule.h:
            h -= granule.h
        elif (c > w or force & 1) and c > granule.c:
            c -= granule.c
        elif (w != whole.w or force & 4) and w > granule.w:
            w -= granule.w
        elif force != 7:
            force = force << 1 | 1
        elif c > granule.c:
            c = max(c // 2, granule.c)
        else:
            break
    return Block(Shape(h, w, c), needed, micro, traversal, accumulator)


def _area(
    machine: Machine,
    whole: Shape,
    ifm: Shape,
    bits: int,
    kernel: Kernel,
    micro: Shape,
    granule: Shape,
    fixed: int,
    accumulator: int,
) -> Shape:
    """Depth by depth the largest area that fits both RAMs; the best by how well it covers the output."""
    limit = whole.clipped(_LARGEST)
    sums, room = machine.ram("accumulator") * 8 // accumulator, machine.ram("input") * 8 // bits
    step = micro.area * _DEPTH
    deep = kernel.reach == (1, 1)
    goal = whole.w * whole.c if deep else whole.area
    best, found = float("inf"), Shape(granule.h, granule.w, granule.c)
    for depth in range(_DEPTH, min(max(machine.chip.macs, sums // step), limit.c) + 1, _DEPTH):
        unit = _unit(machine, fixed or depth, bits, micro)
        fit = _fit(whole, limit, ifm.rounded(unit).elements, kernel, granule, unit, fixed, depth, sums, room, step)
        if fit is None:
            break
        h, w = fit
        used = depth % unit.c or unit.c
        waste = 1 + (unit.c - used) / unit.c / 10
        spread = 1 + abs(1 - limit.c / depth) / 10
        covered = 1 + abs(1 - goal / (w * (depth if deep else h)))
        if covered * spread * waste < best:
            best, found = covered * spread * waste, Shape(h, w, depth)
            if depth >= whole.c and w >= whole.w and h >= whole.h:
                return whole
    return found


def _fit(
    whole: Shape,
    limit: Shape,
    all_input: int,
    kernel: Kernel,
    granule: Shape,
    unit: Shape,
    fixed: int,
    depth: int,
    sums: int,
    room: int,
    step: int,
) -> tuple[int, int] | None:
    aspect, budget, before, patience = whole.h / whole.w, sums, -1, 25
    while True:
        h, w = _by_aspect(aspect, budget // depth, granule)
        w, h = min(w, limit.w), min(h, limit.h)
        area = h * w
        if w < whole.w:
            w = _regular(whole.w, granule.w, w)
        h = max(area // w // granule.h * granule.h, granule.h)
        taken = w * h * depth
        needed = min(_input_block(Shape(h, w, depth), kernel, unit, fixed).elements, all_input)
        by_sums, by_input = sums / taken, room / needed
        if by_sums >= 1 and by_input >= 1:
            return h, w
        if taken == before:
            patience -= 1
            if patience <= 0:
                by_input = 0.9
        before = taken
        if by_input < 1 < by_sums:
            budget = min(budget, taken)
        smaller = int(budget // step * min(by_sums, by_input)) * step
        if smaller == budget:
            smaller -= step
        if smaller < step:
            return None
        budget = smaller


def _by_aspect(aspect: float, area: int, granule: Shape) -> tuple[int, int]:
    w = sqrt(area / aspect)
    h = w * aspect
    if h < 1:
        w, h = w * h, 1.0
    elif w < 1:
        h, w = h * w, 1.0
    rows, columns = max(int(h), granule.h), max(int(w), granule.w)
    return rows // granule.h * granule.h, columns // granule.w * granule.w


def _regular(extent: int, granule: int, tile: int) -> int:
    """The tile near `tile` whose last piece is the largest."""
    if extent % tile == 0:
        return tile
    even = max(round_up(extent // (extent // tile + 1), granule), granule)
    best, left = tile, extent % tile
    for candidate in range(tile, max(even - granule * 2, (even + 1) // 2, granule) - 1, -granule):
        rest = extent % candidate or candidate
        if rest > left:
            best, left = candidate, rest
    return best


# Convolutions and enlarging -------------------------------------------------------------------------------------------


def _search(
    machine: Machine,
    engine: str,
    ifm: Shape,
    ofm: Shape,
    bits: int,
    kernel: Kernel,
    micro: Shape,
    input_depth: int,
    traversal: Traversal,
    accumulator: int,
    up: int,
) -> Block | None:
    step = Shape(micro.h, micro.w, max(micro.c, _DEPTH))
    largest = ofm.clipped(_LARGEST)
    end = Shape(max(largest.h, step.h), max(largest.w, step.w), max(largest.c, step.c)).rounded(micro)
    equal_depth = engine in {"resize", "copy"}
    if engine == "resize":
        # What is enlarged goes through the chaining RAM, a line at a time.
        widest = (machine.ram("chaining") // _SLOTS // (_DEPTH * bits // 8) - 2) * up + 1
        step, end = Shape(1, min(step.w, widest), step.c), Shape(1, min(widest, _LARGEST.w), _DEPTH)
    rows, columns = np.arange(step.h, end.h + 1, step.h), np.arange(step.w, end.w + 1, step.w)
    found = depths(max(micro.c, min(end.c, SPLIT_DEPTH)), end.c, micro.c, ofm.c)
    d, h, w = (axis.ravel() for axis in np.meshgrid(found, rows, columns, indexing="ij"))
    tall = np.array([input_extent(int(y), 1, kernel, up)[0] for y in rows])
    broad = np.array([input_extent(1, int(x), kernel, up)[1] for x in columns])
    units = np.array([_unit(machine, depth if equal_depth else input_depth, bits, micro) for depth in found])
    each = len(rows) * len(columns)
    uh, uw, uc = (np.repeat(units[:, axis], each) for axis in range(3))
    ih = -(-np.tile(np.repeat(tall, len(columns)), len(found)) // uh) * uh
    iw = -(-np.tile(np.tile(broad, len(rows)), len(found)) // uw) * uw
    deep = -(-(d if equal_depth else np.full_like(d, input_depth)) // uc) * uc
    held = deep if equal_depth else -(-np.minimum(deep, ifm.c) // uc) * uc
    sums = h * w * -(-d // _DEPTH) * _DEPTH * accumulator // 8

    f = np.float32
    one_block = engine == "resize" or (kernel.reach == (ifm.h, ifm.w) and ofm.area == 1)
    if one_block:
        cost = f(ofm.elements) / (h.astype(f) * w.astype(f) * d.astype(f))
    else:
        part = [f(all_) / each.astype(f) for all_, each in zip(ofm, (h, w, d), strict=True)]
        full = [np.ceil(each) for each in part]
        fetched = f(kernel.taps) * f(ifm.c) * (full[1] * full[0]) * (part[2] * d.astype(f))
        reach = kernel.reach
        repeats = ceil_div(reach[0], PIECE) * ceil_div(reach[1], PIECE)
        read = (ih * iw).astype(f) * f(ifm.c * repeats) * (part[1] * part[0])
        cost = (read if equal_depth else read * full[2] + fetched) / f(ofm.elements)
    cost = np.where(ifm.elements < ih * iw * deep * 2, cost / f(2), cost)
    covered = f(ifm.area) / np.maximum(np.minimum(ih, ifm.h) * np.minimum(iw, ifm.w), 1).astype(f)
    for copies in (2, 1):
        fits = (ih * iw * held * (bits // 8) * copies <= machine.ram("input")) & (
            sums * copies <= machine.ram("accumulator")
        )
        best = cheapest(np.where(fits, cost, np.inf) if engine != "resize" else cost, h, w, covered, any_size=False)
        if best is not None:
            block = Shape(int(h[best]), int(w[best]), int(d[best]))
            depth = block.c if equal_depth else input_depth
            return Block(block, Shape(int(ih[best]), int(iw[best]), depth), micro, traversal, accumulator)
    return None
