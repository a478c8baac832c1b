"""Operators that change nothing are bypassed: cancelling changes of representation, and copies.

Cancelling pairs, where A and B stand for a type with its scale and zero point:
1. DEQUANTIZE A → float followed by QUANTIZE float → A. Exact for A of up to 16 bits: |q − zero point| < 2^16, and the
   two float32 roundings of (q·s)/s move it by less than 2^−6, which rounding to an integer undoes.
2. QUANTIZE A → B followed by QUANTIZE B → A, of the same scale, where the range of B covers that of A (int8
   and uint8 with 128 between the zero points): multiplier 1, nothing is clamped.
3. QUANTIZE A → A.
QUANTIZE float → A followed by DEQUANTIZE A → float rounds and stays.

Copies:
4. RESHAPE, SQUEEZE, EXPAND_DIMS to the input's own shape. A RESHAPE after one of them takes what that one took.
5. TRANSPOSE by the identity, PAD by nothing, SLICE of everything, CONCATENATION of one tensor: the output's type,
   quantization and shape are the input's.
"""

from __future__ import annotations

from dataclasses import replace

from mcuprof.graph import ABSENT, Graph, Op, Tensor
from mcuprof.ops.kernel import limits
from mcuprof.ops.movement import VIEWS
from mcuprof.rewrites.edit import Draft

_COPIES = (*VIEWS, "TRANSPOSE", "PAD", "SLICE", "CONCATENATION")


def cancel_pairs(graph: Graph) -> Graph:
    """The graph with no-ops bypassed and pairs cancelled; the same object when there are none."""
    draft = Draft(graph)
    for index, op in enumerate(graph.ops):
        if draft.ops[index] is not op or len(op.outputs) != 1 or op.inputs[:1] in ((), (ABSENT,)):
            continue  # rewritten already: the next round sees it
        if _is_copy(graph, op):
            draft.bypass(index)
            continue
        source = _shortcut(draft, op)
        if source is not None:
            draft.op(index, replace(op, inputs=(source, *op.inputs[1:])))
    return draft.close()


def _is_copy(graph: Graph, op: Op) -> bool:
    """True when the output always equals input 0, in all that a reader sees."""
    x, out = graph.input(op), graph.output(op)
    if not _same_type(x, out) or x.shape != out.shape or x.variable or x.is_constant:
        return False
    if op.kind == "QUANTIZE":
        return not x.dtype.is_float
    if op.kind == "TRANSPOSE":
        perm = graph.tensor(op, 1)
        return perm is not None and perm.is_constant and perm.array().tolist() == list(range(len(x.shape)))
    if op.kind == "CONCATENATION":
        return len(op.inputs) == 1 and op.text("activation", "NONE") == "NONE"
    return op.kind in _COPIES


def _shortcut(draft: Draft, op: Op) -> int | None:
    """The tensor that `op` may read in place of its input 0, because the operator between takes nothing away."""
    graph = draft.source
    producer = graph.producer.get(op.inputs[0])
    before = graph.ops[producer] if producer is not None else None
    if producer is None or before is None or draft.ops[producer] is not before:
        return None
    if len(before.outputs) != 1 or before.inputs[:1] in ((), (ABSENT,)):
        return None
    x, between, out = graph.input(before), graph.input(op), graph.output(op)
    if op.kind == "RESHAPE" and before.kind in VIEWS and _same_type(x, between) and not x.variable:
        return before.inputs[0]
    if op.kind != "QUANTIZE" or not _same_type(x, out) or not x.dtype.is_integer or x.dtype.bits > 16 or x.variable:
        return None
    if before.kind == "DEQUANTIZE" and between.dtype.value == "float32" and _one_scale(x):
        return before.inputs[0]
    if before.kind == "QUANTIZE" and between.dtype.is_integer and _covers(between, x):
        return before.inputs[0]
    return None


def _same_type(a: Tensor, b: Tensor) -> bool:
    return a.dtype is b.dtype and a.quantization == b.quantization


def _one_scale(tensor: Tensor) -> bool:
    return tensor.quantization is not None and len(tensor.quantization.scale) == 1 and tensor.quantization.scale[0] > 0


def _covers(wide: Tensor, narrow: Tensor) -> bool:
    """Same scale, and every value of `narrow` has its own in `wide`."""
    a, b = wide.quantization, narrow.quantization
    if a is None or b is None or a.scale != b.scale or not (_one_scale(wide) and a.zero_point and b.zero_point):
        return False
    move = a.zero_point[0] - b.zero_point[0]
    (low, high), (least, most) = limits(narrow.dtype), limits(wide.dtype)
    return least <= low + move and high + move <= most
