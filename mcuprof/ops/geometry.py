"""Window geometry: what every room needs to know of a convolution or a pool, whatever its layout and rank.

Sizes are in elements. 1-D operators (rank 3) are windows of height 1. Padding is resolved to cells, so that SAME, VALID
and explicit pads look alike to the reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mcuprof.graph import Graph, Op, Shape, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALL_FRAME = 1 << 20


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window over [batch, in_h, in_w, in_c] giving [batch, out_h, out_w, out_c].

    `groups` is 1 for a full convolution, `in_c` for a depthwise one; each output channel reads `in_c // groups` inputs.
    """

    batch: int
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    pad_bottom: int
    pad_right: int
    groups: int

    @property
    def taps(self) -> int:
        """Weights that one output element reads: kernel_h · kernel_w · in_c / groups."""
        return self.kernel_h * self.kernel_w * (self.in_c // max(1, self.groups))

    @property
    def out_pixels(self) -> int:
        """Output positions: batch · out_h · out_w."""
        return self.batch * self.out_h * self.out_w

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padded cells included, as every published count does."""
        return self.out_pixels * self.out_c * self.taps

    @property
    def padded(self) -> bool:
        """True when the window ever leaves the input."""
        return any((self.pad_top, self.pad_left, self.pad_bottom, self.pad_right))


def window(graph: Graph, op: Op) -> Window:
    """The geometry of a CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV or pool.

    For TRANSPOSE_CONV, in and out are those of the operator (the output is the larger one). Raises LookupError when
    an input is absent and ValueError when ranks do not fit.
    """
    nchw = op.text("layout", "NHWC") == "NCHW"
    x, weights = operands(graph, op)
    batch, in_h, in_w, in_c = spatial(x.shape, nchw)
    _, out_h, out_w, out_c = spatial(graph.output(op).shape, nchw)
    kernel_h, kernel_w = kernel_size(op, weights, nchw)
    stride = (op.integer("stride_h", 1), op.integer("stride_w", 1))
    dilation = (op.integer("dilation_h", 1), op.integer("dilation_w", 1))
    groups = in_c if op.kind == "DEPTHWISE_CONV_2D" else _groups(op, weights, in_c, nchw)
    larger, smaller = ((out_h, out_w), (in_h, in_w)) if op.kind == "TRANSPOSE_CONV" else ((in_h, in_w), (out_h, out_w))
    top, left, bottom, right = _pads(op, larger, smaller, (kernel_h, kernel_w), stride, dilation)
    sizes = (batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w)
    return Window(*sizes, *stride, *dilation, top, left, bottom, right, groups)


def framed(w: Window) -> tuple[int, int]:
    """(height, width) of the input with its padding, and as far as the last window reaches.

    Raises ValueError where windows lie mostly outside the input: such an output cannot be meant, and kernels that build
    the frame would need memory that has nothing to do with the size of the tensors.
    """
    height = max(w.in_h + w.pad_top + w.pad_bottom, (w.out_h - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1)
    width = max(w.in_w + w.pad_left + w.pad_right, (w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1)
    elements = w.batch * w.in_c * height * width
    if elements > _SMALL_FRAME and elements > 64 * w.batch * w.in_c * w.in_h * w.in_w:
        raise ValueError(f"windows reach over {height}x{width} of an input of {w.in_h}x{w.in_w}")
    return height, width


def taps_inside(
    size: int, outputs: int, kernel: int, stride: int, dilation: int, before: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per output along one axis, the first tap inside the input and the one after the last: int64 [outputs] each."""
    start = np.arange(outputs, dtype=np.int64) * stride - before
    first, end = (np.clip(-(-(edge - start) // dilation), 0, kernel) for edge in (0, size))
    return first, end


def spatial(shape: Shape, nchw: bool) -> tuple[int, int, int, int]:
    """(batch, height, width, channels) of a rank-3 or rank-4 shape; height is 1 for rank 3.

    Raises ValueError for other ranks.
    """
    if len(shape) == 4:
        n, *rest = shape
        c, h, w = rest if nchw else (rest[2], rest[0], rest[1])
        return n, h, w, c
    if len(shape) == 3:
        return (shape[0], 1, shape[2], shape[1]) if nchw else (shape[0], 1, shape[1], shape[2])
    raise ValueError(f"a window operator needs 3 or 4 dimensions, not {len(shape)}")


def window_size(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    """Output length of a window along one axis (TFLite ComputeOutSize): SAME ⌈size/stride⌉, VALID what fits."""
    if stride <= 0:
        raise ValueError(f"a stride of {stride}")
    if padding == "SAME":
        return -(-size // stride)
    return max(0, (size - (kernel - 1) * dilation - 1) // stride + 1)


def kernel_size(op: Op, weights: Tensor | None, nchw: bool) -> tuple[int, int]:
    """(height, width) of the window: the `filter_*` attributes of a pool, else the weights' shape."""
    if "filter_h" in op.attributes or weights is None:
        return op.integer("filter_h", 1), op.integer("filter_w", 1)
    shape = weights.shape
    if nchw:
        return (shape[2], shape[3]) if len(shape) == 4 else (1, shape[-1])
    return (shape[1], shape[2]) if len(shape) == 4 else (1, shape[1])


def operands(graph: Graph, op: Op) -> tuple[Tensor, Tensor | None]:
    """(x, weights) of a window operator, wherever its format keeps them. Raises LookupError when x is absent."""
    return graph.input(op, data_position(op)), graph.tensor(op, 1)


def data_position(op: Op) -> int:
    """The input that holds x: TFLite's transposed convolution begins with the output's shape and the weights."""
    return 2 if op.kind == "TRANSPOSE_CONV" and op.text("layout", "NHWC") != "NCHW" else 0


def bias_position(op: Op) -> int:
    """The input after x and weights."""
    return max(data_position(op), 1) + 1


def _groups(op: Op, weights: Tensor | None, in_c: int, nchw: bool) -> int:
    if "groups" in op.attributes:
        return max(1, op.integer("groups", 1))
    if op.kind != "CONV_2D" or weights is None or nchw or len(weights.shape) != 4:
        return 1
    # TFLite has no groups option: the filter's depth tells (Conv::Prepare, input_channel / filter_input_channel).
    return in_c // weights.shape[3] if weights.shape[3] else 1


def _pads(
    op: Op,
    larger: tuple[int, int],
    smaller: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int, int, int]:
    """(top, left, bottom, right). SAME puts the odd cell of the total at the end (TFLite ComputePaddingWithOffset)."""
    padding = op.text("padding", "VALID")
    if padding == "EXPLICIT":
        pads = op.integers("pads", (0, 0, 0, 0))
        return (pads[0], pads[1], pads[2], pads[3]) if len(pads) == 4 else (0, 0, 0, 0)
    if padding == "VALID":
        return 0, 0, 0, 0
    before: list[int] = []
    after: list[int] = []
    for axis in (0, 1):
        span = (smaller[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1
        total = max(0, span - larger[axis])
        before.append(total // 2)
        after.append(total - total // 2)
    return before[0], before[1], after[0], after[1]
