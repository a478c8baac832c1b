"""Which bytes an operator's output may take from an input that dies at it, under each in-place strategy.

The answer is a fact about kernels, not about planners: `memory/` asks it for every operator, input and output, decides
whether the input really dies there, and places the buffers. An operator that is not listed here shares nothing.

**The distance.** Let the kernel write output bytes in ascending order, `w(e)` bytes being written before it reads
anything for output element `e`, and let `low(e)` be the lowest input byte that it reads for `e`. With the input at byte
X and the output at X − d, the bytes written so far end at X − d + w(e); they spare all that is still to be read if
X − d + w(e) ≤ X + low(e') for every later e' ≥ e, which holds for all of them when it holds at e' = e, as w only grows.
So every d ≥ D = max(0, max over e of w(e) − low(e)) is safe, whatever the data.
All rules below are this maximum worked out for a loop nest. Only the declared order of the reference kernels (TFLM's
`reference_ops`, ESP-NN's generic C) is listed; convolutions, pools, dense layers, additions and softmax were checked
against executed minima and address traces of these kernels (`overlap_distances.csv` of the project's data). CMSIS-NN
walks its inputs in another order: these rules are wrong there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mcuprof.graph import Graph, Op, Tensor
from mcuprof.ops.geometry import Window, window

STRATEGIES = ("none", "alias", "elementwise", "depthwise", "overlap")
Strategy = Literal["none", "alias", "elementwise", "depthwise", "overlap"]


@dataclass(frozen=True, slots=True)
class Share:
    """How an output may lie on a dying input.

    - `view`: the output *is* the input; nothing is read or written, and both stay valid for all their readers.
    - `exact`: the output starts at the input's first byte, or the two are disjoint.
    - `below`: the output starts at least `distance` bytes below the input's first byte, or the two are disjoint.

    `scratch` is what the kernel needs beside them, in bytes, when they do share; only `exact` may need any.
    """

    mode: Literal["view", "exact", "below"]
    distance: int = 0
    scratch: int = 0


VIEW = Share("view")


def share(graph: Graph, op: Op, strategy: str, input_position: int, output_position: int = 0) -> Share | None:
    """What output `output_position` may share with input `input_position` of `op`; None when they must be disjoint.

    Distances are bytes, not aligned. `overlap` speaks of reference kernels. The input is assumed to die at `op`.
    """
    if strategy == "none" or output_position != 0 or graph.tensor(op, input_position) is None:
        return None
    source, target = graph.input(op, input_position), graph.output(op)
    has, needs = source.nbytes, target.nbytes
    if source.dtype.bits % 8 or target.dtype.bits % 8 or not has or not needs:
        return None
    if op.kind in VIEWS:
        return VIEW if input_position == 0 and has == needs else None
    if strategy == "overlap":
        rule = REFERENCE.get(op.kind)
        distance = rule(graph, op, input_position) if rule else None
        return None if distance is None else Share("below", max(0, distance))
    if strategy in ("elementwise", "depthwise") and op.kind in ELEMENTWISE:
        return Share("exact") if _same_elements(source, target) and has == needs else None
    if strategy == "depthwise" and op.kind == "DEPTHWISE_CONV_2D" and input_position == 0:
        return _channel_by_channel(graph, op)
    return None


# The output has the input's bytes: a runtime that aliases copies nothing.
VIEWS = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "Identity", "Flatten", "Unsqueeze", "Dropout"})

# Output element e depends on element e of every full-sized input and on nothing else of it.
_ELEMENTWISE = """
    ABS ADD ADD_N CAST CEIL COS DEQUANTIZE DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD GELU GREATER GREATER_EQUAL
    HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAXIMUM MINIMUM MUL NEG
    NOT_EQUAL POW PRELU QUANTIZE RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SELECT_V2 SIGN SIN SQRT SQUARE
    SQUARED_DIFFERENCE SUB TANH
"""
ELEMENTWISE = frozenset(_ELEMENTWISE.split())


def _same_elements(source: Tensor, target: Tensor) -> bool:
    """As many elements means the same index: broadcasting only ever repeats elements of the smaller operand."""
    return source.elements == target.elements


def _elementwise(graph: Graph, op: Op, position: int) -> int | None:
    """Element e is read, then written: w(e) = e·ob and low(e) = e·ib, so D = (N − 1)·(ob − ib), 0 for equal types.

    `ob` and `ib` are bytes per element of output and input (DEQUANTIZE widens, QUANTIZE narrows). A broadcast operand
    is read again and again: disjoint.
    """
    source, target = graph.input(op, position), graph.output(op)
    if not _same_elements(source, target):
        return None
    return (target.elements - 1) * (_width(target) - _width(source))


def _softmax(graph: Graph, op: Op, position: int) -> int | None:
    """Row by row: maximum, then sum, then the outputs, each re-reading its own element.

    No earlier row is read again and the last pass goes element by element, so the rule is that of `_elementwise`.
    """
    return _elementwise(graph, op, position)


def _convolution(graph: Graph, op: Op, position: int) -> int | None:
    """For pixel p, channel by channel, the whole window is read: low = a(p), its lowest in-bounds byte.

    The last channel comes after p·OC + OC − 1 written elements: D = max over p of (p·OC + OC − 1)·ob − a(p).
    """
    view = _nhwc(graph, op)
    if position != 0 or view is None:
        return None
    written, read = _width(graph.output(op)), _width(graph.input(op))
    return _lead(view, view.out_c * written, view.in_c * read) + (view.out_c - 1) * written


def _depthwise(graph: Graph, op: Op, position: int) -> int | None:
    """As `_convolution`, but output channel oc reads input channel oc // m only (m = OC / IC).

    Within a pixel the lead is the largest oc·ob − (oc // m)·ib: at the last channel of the first or of the last input
    channel, since it is linear from one input channel to the next. With m = 1 and equal types it is 0: D = max over p
    of p·C − a(p).
    """
    view = _nhwc(graph, op)
    if position != 0 or view is None or view.out_c % view.in_c:
        return None
    written, read = _width(graph.output(op)), _width(graph.input(op))
    first, last = (view.out_c // view.in_c - 1) * written, (view.out_c - 1) * written - (view.in_c - 1) * read
    return _lead(view, view.out_c * written, view.in_c * read) + max(first, last)


def _pool(graph: Graph, op: Op, position: int) -> int | None:
    """Channel c of pixel p reads channel c of the window: the depthwise rule with m = 1."""
    return _depthwise(graph, op, position)


def _fully_connected(graph: Graph, op: Op, position: int) -> int | None:
    """Every output of row b reads row b whole: w = (b·OC + OC − 1)·ob, low = b·IC·ib; linear in b: an end decides."""
    if position != 0:
        return None
    source, target = graph.input(op), graph.output(op)
    channels = target.shape[-1] if target.shape else 1
    rows = target.elements // channels
    if source.elements % rows:
        return None
    slope = channels * _width(target) - source.elements // rows * _width(source)
    return (channels - 1) * _width(target) + max(0, (rows - 1) * slope)


def _pad(graph: Graph, op: Op, position: int) -> int | None:
    """One raster pass: each output element is either padding or the next input element.

    The lead w(e) − low(e) grows with every padding element, so the last input element decides: its position in the
    output less its position in the input. Needs constant paddings.
    """
    paddings = graph.tensor(op, 1)
    source, target = graph.input(op), graph.output(op)
    if position != 0 or paddings is None or not paddings.is_constant or source.dtype is not target.dtype:
        return None
    before = paddings.array().reshape(-1, 2)[:, 0]
    if len(before) != len(source.shape) or len(source.shape) != len(target.shape) or (before < 0).any():
        return None
    last = 0
    for size, padding, extent in zip(source.shape, before, target.shape, strict=True):
        last = last * extent + int(padding) + size - 1
    return (last - (source.elements - 1)) * _width(source)


REFERENCE: dict[str, Callable[[Graph, Op, int], int | None]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    "SOFTMAX": _softmax,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "FULLY_CONNECTED": _fully_connected,
    "PAD": _pad,
    "PADV2": _pad,
}


def _channel_by_channel(graph: Graph, op: Op) -> Share | None:
    """In-place depthwise convolution as in TinyEngine: one channel at a time through a padded one-channel buffer.

    Channel c of the input is copied out before channel c of the output is written, and output pixel p of channel c lies
    on input pixel p of the same channel as long as both start together: `exact`, for one output channel per input
    channel and no more output pixels than input pixels.
    """
    view = _nhwc(graph, op)
    width = _width(graph.input(op))
    if view is None or view.batch != 1 or view.in_c != view.out_c or width != _width(graph.output(op)):
        return None
    plane = (view.in_h + view.pad_top + view.pad_bottom) * (view.in_w + view.pad_left + view.pad_right) * width
    fits = view.out_pixels <= view.in_h * view.in_w and plane < graph.output(op).nbytes
    return Share("exact", scratch=plane) if fits else None


def _nhwc(graph: Graph, op: Op) -> Window | None:
    """The operator's window; None in channel planes (NCHW), which no declared kernel walks, and where it is broken."""
    if op.text("layout", "NHWC") != "NHWC":
        return None
    try:
        return window(graph, op)
    except (LookupError, ValueError):
        return None


def _lead(view: Window, written: int, read: int) -> int:
    """Bytes: max over output pixels p, batch by batch in raster order, of p·`written` − a(p); rows and columns split.

    `written` and `read` are the bytes of one output and one input pixel; a(p) is the lowest in-bounds byte of the
    window, (max(0, oy·sh − pad_top)·W + max(0, ox·sw − pad_left))·`read`.
    """
    row, line = view.out_w * written, view.in_w * read
    by_row = _largest_lead(view.out_h, row, view.stride_h, view.pad_top, line)
    by_column = _largest_lead(view.out_w, written, view.stride_w, view.pad_left, read)
    by_batch = (view.batch - 1) * (view.out_h * row - view.in_h * line)
    return by_row + by_column + max(0, by_batch)


def _largest_lead(count: int, written: int, stride: int, padding: int, read: int) -> int:
    """max over i in 0 … count − 1 of i·`written` − max(0, i·`stride` − `padding`)·`read`.

    Concave in i with one kink, where the window leaves the padding: an end or a neighbour of the kink decides.
    """
    kink = padding // max(1, stride)
    places = {0, count - 1, *(min(max(0, place), count - 1) for place in (kink, kink + 1))}
    return max(i * written - max(0, i * stride - padding) * read for i in places)


def _width(tensor: Tensor) -> int:
    """Bytes of one element."""
    return tensor.dtype.bits // 8
