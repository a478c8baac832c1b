"""How rows of an operator's output hang on rows of its inputs: what it means to run it on a stripe of its image.

A stripe is a range of rows of an NHWC tensor with batch 1, one block of memory. Rules are for kernels that are given
the stripe as if it were the whole image: they pad it again at its own borders.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcuprof.graph import ABSENT, Graph, Op, Tensor
from mcuprof.ops.geometry import window


@dataclass(frozen=True, slots=True)
class Rows:
    """Row arithmetic of one operator.

    `inputs` are the positions of the operands that are cut like the output; every other operand is read whole. Output
    row J reads input rows J·stride − before … J·stride − before + span − 1 (those that exist). `same`: the kernel works
    out its padding from the rows it gets (TFLite SAME). `pad`: rows that the operator is told to add above and below
    (PAD, and windows with explicit pads): a stripe adds them at the true borders only; `before` is 0 then, and windows
    are counted on the padded image. `up`: output rows made of each input row (nearest neighbour).
    """

    inputs: tuple[int, ...]
    in_rows: int
    out_rows: int
    span: int = 1
    stride: int = 1
    before: int = 0
    same: bool = False
    pad: tuple[int, int] | None = None
    up: int = 1

    @property
    def spatial(self) -> bool:
        """True when an output row reads more than its own input row, so that stripes need neighbours' rows."""
        return self.span > 1 or self.stride > 1 or self.pad is not None


RowRule = Callable[[Graph, Op], Rows | None]


def is_image(tensor: Tensor) -> bool:
    """One NHWC image of whole bytes: its row ranges are blocks of memory."""
    return len(tensor.shape) == 4 and tensor.shape[0] == 1 and tensor.dtype.bits % 8 == 0 and tensor.elements > 0


def window_rows(graph: Graph, op: Op) -> Rows | None:
    """Convolutions and pools over TFLite images; their other operands (weights, bias) are constants."""
    x, out = graph.input(op), graph.output(op)
    if op.text("layout", "NHWC") != "NHWC" or not (is_image(x) and is_image(out)):
        return None
    padding = op.text("padding", "VALID")
    if any(i != ABSENT and not graph.tensors[i].is_constant for i in op.inputs[1:]):
        return None
    w = window(graph, op)
    span = (w.kernel_h - 1) * w.dilation_h + 1
    if padding == "EXPLICIT":
        return Rows((0,), w.in_h, w.out_h, span, w.stride_h, pad=(w.pad_top, w.pad_bottom))
    if padding not in ("SAME", "VALID"):
        return None
    return Rows((0,), w.in_h, w.out_h, span, w.stride_h, w.pad_top, padding == "SAME")


def pointwise_rows(graph: Graph, op: Op) -> Rows | None:
    """Element by element; an operand of one row (a scalar, one value per channel) is read whole by every stripe."""
    out = graph.output(op)
    if not is_image(out):
        return None
    cut = []
    for position, index in enumerate(op.inputs):
        tensor = graph.tensors[index]
        if index != ABSENT and not tensor.is_constant and tensor.shape == out.shape:
            cut.append(position)
        elif index != ABSENT and (len(tensor.shape) > 4 or (len(tensor.shape) >= 3 and tensor.shape[-3] != 1)):
            return None
    return Rows(tuple(cut), out.shape[1], out.shape[1]) if cut else None


def pad_rows(graph: Graph, op: Op) -> Rows | None:
    """PAD and PADV2 by constants in height, width and channels: rows are added at the true borders only."""
    x, out, amounts = graph.input(op), graph.output(op), graph.tensor(op, 1)
    if amounts is None or not amounts.is_constant or not (is_image(x) and is_image(out)):
        return None
    pads = amounts.array().reshape(-1, 2).tolist()
    filler = graph.tensor(op, 2)
    if pads[0] != [0, 0] or min(min(pair) for pair in pads) < 0 or (filler is not None and not filler.is_constant):
        return None
    return Rows((0,), x.shape[1], out.shape[1], pad=(pads[1][0], pads[1][1]))


def enlarged_rows(graph: Graph, op: Op) -> Rows | None:
    """RESIZE_NEAREST_NEIGHBOR by a power of two in height: in float32 that is exact, wherever the stripe begins."""
    x, out = graph.input(op), graph.output(op)
    if op.text("layout", "NHWC") != "NHWC" or op.integer("align_corners") or not (is_image(x) and is_image(out)):
        return None
    size = graph.tensor(op, 1)
    up, rest = divmod(out.shape[1], x.shape[1])
    if rest or up & (up - 1) or size is None or not size.is_constant or size.array().tolist() != list(out.shape[1:3]):
        return None
    return Rows((0,), x.shape[1], out.shape[1], up=up)


def joined_rows(graph: Graph, op: Op) -> Rows | None:
    """CONCATENATION along width or channels."""
    out = graph.output(op)
    if not is_image(out) or op.integer("axis") % 4 not in (2, 3):
        return None
    if any(index == ABSENT or graph.tensors[index].is_constant for index in op.inputs):
        return None
    return Rows(tuple(range(len(op.inputs))), out.shape[1], out.shape[1])


def rows_of(rule: RowRule | None, graph: Graph, op: Op) -> Rows | None:
    """What `rule` says of `op`; None where there is none, or its operands cannot be right."""
    if rule is None or len(op.outputs) != 1 or op.outputs[0] == ABSENT or not op.inputs or op.inputs[0] == ABSENT:
        return None
    try:
        return rule(graph, op)
    except (LookupError, ValueError, ZeroDivisionError):
        return None
