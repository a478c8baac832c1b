"""Blocks of the Ethos-U55 and U65: input and accumulators, both twice, must fit the banks of one shared RAM."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mcuprof.costs.npu.blocks import PIECE, Block, Traversal, cheapest, depths, input_extent
from mcuprof.costs.npu.machine import Machine
from mcuprof.costs.npu.work import Kernel, Shape, Work, ceil_div, round_up

_BANK = 1024
_OUTPUT_BANKS = 2
_LARGEST = Shape(32, 64, 128)


def choose(work: Work, machine: Machine) -> Block | None:
    """The block for `work`, or None when none fits."""
    shapes = [each.shape for each in work.inputs]
    ifm = max(shapes, key=lambda shape: shape.elements) if len(shapes) > 1 else shapes[0]
    bits = work.inputs[0].bits
    engine = work.engine
    traversal: Traversal = "depth-first"
    if engine == "depthwise":
        traversal = "depthwise"
    elif engine == "convolution" and _kernel_first(ifm.c, bits, work.kernel):
        traversal = "part-kernel"
    wide = bits == 16 and engine != "pool" and work.scaled
    scalar = bits <= 16 and any(each.scalar for each in work.inputs)
    return _search(
        machine, engine, ifm, work.output.shape, bits, work.kernel, traversal, wide, scalar, work.table, work.up
    )


@lru_cache(maxsize=4096)
def _search(
    machine: Machine,
    engine: str,
    ifm: Shape,
    ofm: Shape,
    bits: int,
    kernel: Kernel,
    traversal: Traversal,
    wide: bool,
    scalar: bool,
    table: bool,
    up: int,
) -> Block | None:
    micro, granules = machine.micro[0], machine.chip.granules
    equal_depth = engine in {"elementwise", "pool", "depthwise", "resize", "dma"}
    deep = min(ifm.c, 16) if bits == 16 else min(ifm.c, 16 if traversal == "part-kernel" else 32)
    input_depth = round_up(deep, 4 if bits == 16 else 8)
    space = ofm.clipped(_LARGEST).rounded(micro)
    rows = np.arange(micro.h, space.h + 1, micro.h)
    columns = np.arange(micro.w, space.w + 1, micro.w)
    found = depths(max(micro.c, min(space.c, 16)), space.c, micro.c, ofm.c)
    d, h, w = (axis.ravel() for axis in np.meshgrid(found, rows, columns, indexing="ij"))
    # A line of output lets a block of one row use the accumulators of two.
    own_h = np.minimum(h, ofm.h) if ofm.h == 1 and kernel.h == 1 and micro.h == 2 else h

    needed = np.array([input_extent(int(y), 1, kernel, up)[0] for y in rows])
    across = np.array([input_extent(1, int(x), kernel, up)[1] for x in columns])
    ih = np.tile(np.repeat(_rounded(needed, micro.h), len(columns)), len(found))
    iw = np.tile(np.tile(_rounded(across, micro.w), len(rows)), len(found))
    ic = d if equal_depth else np.full_like(d, input_depth)

    banks = machine.chip.shram_banks
    reserved = 2 if banks > 16 else 0
    free = banks - max(2 if table else 0, reserved)
    input_banks = _rounded(_ceil(ih * iw * _rounded(ic * (bits // 8), 8), _BANK) * 2, granules[f"input{bits}"])
    if engine == "elementwise":
        fits = _OUTPUT_BANKS + input_banks * (1 if scalar else 2) <= free
    else:
        width = 40 if wide else 32
        own = _ceil(own_h * w * _rounded(d, 8) * width // 8, _BANK) * 2
        fits = _OUTPUT_BANKS + input_banks <= free - _rounded(own, granules[f"accumulator{width}"])

    f = np.float32
    full_h, full_w, full_c = _ceil(ofm.h, own_h), _ceil(ofm.w, w), _ceil(ofm.c, d)
    part_h, part_w, part_c = f(ofm.h) / own_h.astype(f), f(ofm.w) / w.astype(f), f(ofm.c) / d.astype(f)
    if engine == "elementwise":
        cost = f(ofm.elements) / (h * w * d).astype(f)
    else:
        reach = kernel.reach
        repeats = ceil_div(reach[0], PIECE) * ceil_div(reach[1], PIECE)
        taps = kernel.taps if engine in {"convolution", "depthwise"} else 0
        fetched = (taps * ifm.c * full_h * full_w).astype(f)
        if engine != "depthwise":
            fetched = fetched * (part_c * d.astype(f))
        read = (ih * iw * ifm.c * repeats).astype(f) * part_w * part_h
        cost = (read + fetched if equal_depth else read * full_c.astype(f) + fetched) / f(ofm.elements)
    cost = np.where(ifm.elements < ih * iw * ic * 2, cost / f(2), cost)
    cost = np.where(fits, cost, np.inf)
    covered = f(ifm.area) / np.maximum(np.minimum(ih, ifm.h) * np.minimum(iw, ifm.w), 1).astype(f)
    best = cheapest(cost, h, w, covered, any_size=False)
    if best is None:
        return None
    block = Shape(int(h[best]), int(w[best]), int(d[best]))
    return Block(block, Shape(int(ih[best]), int(iw[best]), int(ic[best])), micro, traversal, 40 if wide else 32)


def _kernel_first(depth: int, bits: int, kernel: Kernel) -> bool:
    """Does working through the window first waste less than working through the input's channels first?"""
    if depth <= 8:
        return True
    by_depth = depth / round_up(depth, 32 if bits == 8 else 16)
    by_kernel = depth / round_up(depth, 8) * kernel.taps / round_up(kernel.taps, 4 if bits == 8 else 2)
    return by_kernel >= by_depth


def _ceil(value: np.ndarray | int, by: np.ndarray | int) -> np.ndarray:
    return np.asarray(-(-value // by))


def _rounded(value: np.ndarray, to: int) -> np.ndarray:
    return _ceil(value, to) * to


def line_microblock(machine: Machine, work: Work, micro: Shape) -> Shape:
    """Two rows of MACs work on one row of output where that is all there is and its width is even."""
    line = work.output.shape.h == 1 and work.kernel.h == 1 and work.output.shape.w % 2 == 0
    if not machine.u85 and micro.h == 2 and work.engine == "convolution" and line:
        return Shape(1, 4, micro.c)
    return micro
