"""What an Ethos-U is asked to do: operations on three-dimensional feature maps, as `lower.py` makes them of a graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal, NamedTuple

import numpy as np

Engine = Literal["convolution", "depthwise", "pool", "reduce", "elementwise", "resize", "dma", "cpu"]
BRICK = 16


class Shape(NamedTuple):
    """Height, width and channels of a feature map or of a block of it."""

    h: int
    w: int
    c: int

    @property
    def elements(self) -> int:
        """h · w · c."""
        return self.h * self.w * self.c

    @property
    def area(self) -> int:
        """h · w."""
        return self.h * self.w

    def clipped(self, other: Shape) -> Shape:
        """The smaller of both along each axis."""
        return Shape(min(self.h, other.h), min(self.w, other.w), min(self.c, other.c))

    def over(self, block: Shape) -> Shape:
        """How many of `block` it takes to cover this along each axis."""
        return Shape(ceil_div(self.h, block.h), ceil_div(self.w, block.w), ceil_div(self.c, block.c))

    def rounded(self, granule: Shape) -> Shape:
        """Rounded up to multiples of `granule`."""
        return Shape(round_up(self.h, granule.h), round_up(self.w, granule.w), round_up(self.c, granule.c))


def ceil_div(value: int, by: int) -> int:
    """⌈value / by⌉."""
    return -(-value // by)


def round_up(value: int, to: int) -> int:
    """The next multiple of `to`."""
    return ceil_div(value, to) * to


@dataclass(frozen=True, slots=True)
class Kernel:
    """A window: size, stride and dilation along height and width."""

    h: int = 1
    w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1

    @property
    def taps(self) -> int:
        """h · w."""
        return self.h * self.w

    @property
    def reach(self) -> tuple[int, int]:
        """Height and width with dilation."""
        return (self.h - 1) * self.dilation_h + 1, (self.w - 1) * self.dilation_w + 1


@dataclass(slots=True, eq=False)
class Buffer:
    """Memory of one feature map. `linear` maps are stored row by row, others in bricks of 16 channels.

    `host` maps are inputs or outputs of the NPU's part of the graph; `constant` ones come with the model.
    """

    shape: Shape
    bits: int
    linear: bool = False
    host: bool = False
    constant: bool = False
    persistent: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes it takes, in multiples of 16."""
        depth = self.shape.c if self.linear else round_up(self.shape.c, BRICK)
        return round_up(self.shape.area * depth * self.bits // 8, 16)


@dataclass(frozen=True, slots=True)
class Map:
    """The part of a buffer that an operation reads or writes. `of` is the shape it takes the whole buffer for."""

    buffer: int
    shape: Shape
    bits: int
    of: Shape

    @property
    def scalar(self) -> bool:
        """True for one element."""
        return self.shape.elements == 1


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Weights less their zero point as [outputs, height, width, inputs]; a depthwise one has one input. `key` names
    them.
    """

    key: int
    values: np.ndarray

    @property
    def sparse(self) -> bool:
        """At least two of every four weights along the depth are zero, and the others within ±127."""
        deep = self.values.shape[3]
        padded = np.pad(self.values, ((0, 0), (0, 0), (0, 0), (0, round_up(deep, 4) - deep)))
        zeros = (padded.reshape(*padded.shape[:3], -1, 4) == 0).sum(axis=-1)
        return bool((zeros >= 2).all()) and bool((np.abs(self.values) <= 127).all())


@dataclass(frozen=True, slots=True)
class Link:
    """An element-wise operation chained to the one before it (U85): it never leaves the NPU in between."""

    name: str
    extra: Map | None
    input_bits: int
    output_bits: int


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """One operation of the NPU, or one operator left to the host (`cpu`), that `source`, an operator index, led to.

    `table` and `clamp`: the activation that follows at once, by look-up table or by limits. `up` is the factor by which
    the input is enlarged while it is read. `links` are what is chained to it; `output` is the last one's.
    """

    source: int
    engine: Engine
    name: str
    inputs: tuple[Map, ...]
    output: Map
    kernel: Kernel = field(default_factory=Kernel)
    weights: Weights | None = None
    table: bool = False
    clamp: bool = False
    scaled: bool = True
    up: int = 1
    own_bits: int = 0
    links: tuple[Link, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates, windows of pools counted as such."""
        if self.engine in {"elementwise", "resize", "dma", "cpu"}:
            return 0
        depth = self.inputs[0].shape.c if self.engine in {"convolution", "reduce"} else 1
        return self.kernel.taps * self.output.shape.elements * depth

    @property
    def bits_before_links(self) -> int:
        """Width of what this operation itself gives to its chain."""
        return self.own_bits or self.output.bits


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """All operations in order, and the buffers they name by index. `fallen` says why operators went to the host."""

    works: tuple[Work, ...]
    buffers: tuple[Buffer, ...]
    fallen: dict[int, str]


def three(shape: tuple[int, ...]) -> Shape:
    """A tensor's shape as height, width, channels; everything before them goes into the height."""
    if len(shape) <= 3:
        return Shape(*((1,) * (3 - len(shape)) + tuple(shape)))
    return Shape(prod(shape[:-2]), shape[-2], shape[-1])
