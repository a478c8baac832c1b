"""Whether channel groups compute the original's channels: what each tensor is said to hold, operator by operator.

A group's operator makes channels low … high − 1 of the original's output where it is the same operator with the same
options, reads the same channels (a convolution: the whole input), and its weights and bias are those of these channels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcuprof.errors import PlanError
from mcuprof.graph import ABSENT, Graph, Op, Quantization, Tensor
from mcuprof.rewrites.split.emit import Split

Whole = Callable[[int, int], bool]
# Where output channels are found in weights; operators of one operand that treat every element or channel alone.
_FILTERS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_ALONE = (*_POOLS, "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LOGISTIC", "TANH", "HARD_SWISH", "QUANTIZE")


def is_dealt(split: Split, op: Op) -> bool:
    """True for operators that read or make a channel group."""
    return any(tensor in split.channels for tensor in (*op.inputs, *op.outputs))


def prove_group(old: Graph, split: Split, op: Op, source: Op, is_whole: Whole) -> None:
    """`op` makes the channels of the output of `source` that its output is said to hold. Raises PlanError."""
    new = split.graph
    tensor, low, high = _held(split, op.outputs[0])
    if (op.kind, op.attributes, len(op.outputs), tensor) != (source.kind, source.attributes, 1, source.outputs[0]):
        raise PlanError(f"a channel group's {op.kind} is not the original's")
    require(_is_part(new.output(op), old.tensors[tensor], 3, low, high), "output", op)
    here, there = op.inputs[0], source.inputs[0]
    if op.kind == "CONV_2D":
        sums_all = old.tensors[source.inputs[1]].shape[3] == old.tensors[there].shape[3]
        require(sums_all and is_whole(here, there), "input", op)
    else:
        if op.kind == "DEPTHWISE_CONV_2D":
            require(old.tensors[there].shape[3] == old.tensors[tensor].shape[3], "input", op)
        require(_held(split, here) == (there, low, high), "input", op)
    if op.kind in _FILTERS:
        for position, axis in ((1, _FILTERS[op.kind]), (2, 0)):
            one, other = (
                inputs[position] if position < len(inputs) else ABSENT for inputs in (op.inputs, source.inputs)
            )
            if ABSENT in (one, other):
                require(one == other, "bias", op)
                continue
            require(_is_part(new.tensors[one], old.tensors[other], axis, low, high), f"operand {position}", op)
        require(len(op.inputs) == len(source.inputs) <= 3, "operands", op)
    else:
        require(op.kind in _ALONE and len(op.inputs) == len(source.inputs) == 1, "operands", op)


def prove_joined(old: Graph, split: Split, op: Op) -> int:
    """The tensor of the original whose channels this CONCATENATION puts together, all of them. Raises PlanError."""
    new = split.graph
    if op.kind != "CONCATENATION" or op.integer("axis") != 3 or op.text("activation", "NONE") != "NONE":
        raise PlanError(f"an operator {op.kind} was added that does not join channels")
    end, (whole, _, _) = 0, _held(split, op.inputs[0])
    for piece in op.inputs:
        tensor, low, high = _held(split, piece)
        require((tensor, low) == (whole, end), "pieces", op)
        require(_is_part(new.tensors[piece], old.tensors[whole], 3, low, high), "pieces", op)
        end = high
    out, spec = new.output(op), old.tensors[whole]
    kind = (out.dtype, out.quantization, out.variable, out.shape) == (
        spec.dtype,
        spec.quantization,
        spec.variable,
        spec.shape,
    )
    require(kind and end == spec.shape[3], "output", op)
    return whole


def require(holds: bool, what: str, op: Op) -> None:
    """Raises PlanError where it does not hold."""
    if not holds:
        raise PlanError(f"a channel group's {op.kind} has another {what} than the original's channels")


def _held(split: Split, tensor: int) -> tuple[int, int, int]:
    if tensor not in split.channels:
        raise PlanError("an operator of a channel group reads or makes something else")
    return split.channels[tensor]


def _is_part(part: Tensor, whole: Tensor, axis: int, low: int, high: int) -> bool:
    """Whether `part` is channels `low` … `high` − 1 of `whole`: kind, shape, scales, and contents where constant."""
    count = whole.shape[axis]
    shape = list(whole.shape)
    shape[axis] = high - low
    if not 0 <= low < high <= count or list(part.shape) != shape:
        return False
    if (part.dtype, part.variable, part.is_constant) != (whole.dtype, whole.variable, whole.is_constant):
        return False
    if not _same_scales(part.quantization, whole.quantization, axis, low, high, count):
        return False
    if not whole.is_constant:
        return True
    taken = np.moveaxis(whole.array(), axis, 0)[low:high]
    return np.array_equal(np.moveaxis(part.array(), axis, 0), taken)


def _same_scales(
    part: Quantization | None, whole: Quantization | None, axis: int, low: int, high: int, count: int
) -> bool:
    if part is None or whole is None or not whole.per_channel:
        return part == whole
    zeros = whole.zero_point[low:high] if len(whole.zero_point) == count else whole.zero_point
    alike = whole.block == part.block == 0 and whole.axis == axis and len(whole.scale) == count
    return alike and part.scale == whole.scale[low:high] and part.zero_point == zeros
