"""UNIDIRECTIONAL_SEQUENCE_LSTM: float32, int8 and int16 activations, int16 cell.

Kernel: TFLM `unidirectional_sequence_lstm.cc`, `lstm_eval.cc`, `lstm_eval_common.cc`. Gates are matrix products to
int16 in Q3.12, joined with saturation; sigmoid and tanh are those of `sigmoid16`; products are requantized.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.ops import libm, sigmoid16
from mcuprof.ops.activation import float_logistic
from mcuprof.ops.kernel import (
    Array,
    Inputs,
    Kernel,
    NoKernel,
    Rescaler,
    Target,
    divisor_of,
    is_float,
    plain_target,
    rescaler,
    scale_of,
    zero_of,
)
from mcuprof.ops.sums import product

# Positions among the 24 inputs; gates are in the order input, forget, cell, output.
INPUT_WEIGHTS, RECURRENT_WEIGHTS, BIASES, HIDDEN, CELL = range(1, 5), range(5, 9), range(12, 16), 18, 19
_UNSUPPORTED = (*range(9, 12), 16, 17, *range(20, 24))  # peepholes, projection, layer normalisation

_GATE_SCALE = 2.0**-12
_SIGMOID_SCALE = 2.0**-15


@dataclass(frozen=True, slots=True)
class _Cell:
    """One step's arithmetic: gates(x, h) → pre-activations [4][batch, units]; the rest as the numerics define it."""

    gates: Callable[[Array, Array], list[Array]]
    sigmoid: Callable[[Array], Array]
    tanh: Callable[[Array], Array]
    update: Callable[[Array, Array, Array, Array], Array]
    hidden: Callable[[Array, Array], Array]


def prepare_lstm(graph: Graph, op: Op) -> Kernel:
    """x [batch, steps, features] ([steps, batch, features] with `time_major`) → output of every step.

    Returns the output, then the new hidden state and the new cell state.
    """
    x, hidden, cell, out = (graph.input(op, 0), graph.input(op, HIDDEN), graph.input(op, CELL), graph.output(op))
    extra = [position for position in _UNSUPPORTED if graph.tensor(op, position) is not None]
    if extra or any(graph.tensor(op, position) is None for position in (*INPUT_WEIGHTS, *RECURRENT_WEIGHTS)):
        raise NoKernel("peepholes, projection, layer normalisation or a coupled gate")
    step = _float_cell(graph, op) if is_float(x) else _integer_cell(graph, op, x, hidden, cell)
    time_major = bool(op.integer("time_major"))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        steps = inputs[0] if time_major else inputs[0].swapaxes(0, 1)
        h, c = inputs[HIDDEN].reshape(hidden.shape), inputs[CELL].reshape(cell.shape)
        outputs = []
        for features in steps:
            i, f, g, o = step.gates(features, h)
            c = step.update(
                step.sigmoid(f), c, step.sigmoid(i), sigmoid16.tanh(g) if g.dtype == np.int16 else libm.tanh(g)
            )
            h = step.hidden(step.sigmoid(o), step.tanh(c))
            outputs.append(h)
        result = np.stack(outputs, axis=0 if time_major else 1)
        return result.reshape(out.shape), h, c

    return run


def _float_cell(graph: Graph, op: Op) -> _Cell:
    weights = [np.ascontiguousarray(graph.input(op, position).array().T) for position in INPUT_WEIGHTS]
    recurrent = [np.ascontiguousarray(graph.input(op, position).array().T) for position in RECURRENT_WEIGHTS]
    biases = [_optional(graph.tensor(op, position)) for position in BIASES]
    clip = op.number("cell_clip")

    def gates(x: Array, h: Array) -> list[Array]:
        rows = zip(weights, biases, recurrent, strict=True)
        return [(product(x, w, "reference") + b) + product(h, r, "reference") for w, b, r in rows]

    def update(forget: Array, cell: Array, enter: Array, new: Array) -> Array:
        value = forget * cell + enter * new
        return np.clip(value, np.float32(-clip), np.float32(clip)) if clip > 0 else value

    return _Cell(gates, float_logistic, libm.tanh, update, lambda o, c: o * c)


def _optional(tensor: Tensor | None) -> Any:
    return np.float32(0) if tensor is None else tensor.array()


def _integer_cell(graph: Graph, op: Op, x: Tensor, hidden: Tensor, cell: Tensor) -> _Cell:
    wide = x.dtype is DType.INT16
    from_input = [
        _product(graph, op, x, position, bias, wide) for position, bias in zip(INPUT_WEIGHTS, BIASES, strict=True)
    ]
    from_hidden = [_product(graph, op, hidden, position, None, wide) for position in RECURRENT_WEIGHTS]
    cell_scale = float(scale_of(cell))
    power = round(np.log2(cell_scale))
    reach = 2.0**30
    keep = rescaler(graph, np.float64(_SIGMOID_SCALE), _int16(), reach)
    enter = rescaler(graph, np.float64(_SIGMOID_SCALE**2 / cell_scale), _int16(), reach)
    leave = rescaler(graph, np.float64(_SIGMOID_SCALE**2 / float(divisor_of(hidden))), plain_target(hidden), reach)
    clip = min(int(op.number("cell_clip") / cell_scale), 32767) if op.number("cell_clip") > 0 else 32767
    # The state's scale 2^power is brought to Q3.12: to the left within the table's multiplier, else a rounding shift.
    left = 12 + power
    if not -30 <= left <= 14:  # the kernel shifts 32-bit integers
        raise NoKernel(f"a cell state with the scale {cell_scale:g}")
    multiplier, shift = (0, left) if left >= 0 else (3, -left)

    def gates(features: Array, h: Array) -> list[Array]:
        return [_add16(a(features), b(h)) for a, b in zip(from_input, from_hidden, strict=True)]

    def update(forget: Array, c: Array, entering: Array, new: Array) -> Array:
        total = _add16(keep(forget.astype(np.int64) * c), enter(entering.astype(np.int64) * new))
        return np.clip(total, -clip if clip < 32767 else -32768, clip)

    return _Cell(
        gates,
        sigmoid16.logistic,
        lambda c: sigmoid16.tanh(c, multiplier, shift),
        update,
        lambda o, c: leave(o.astype(np.int64) * c),
    )


def _int16() -> Target:
    return Target(0, -32768, 32767, np.dtype(np.int16))


def _add16(a: Array, b: Array) -> Array:
    return np.clip(a.astype(np.int32) + b, -32768, 32767).astype(np.int16)


def _product(graph: Graph, op: Op, x: Tensor, position: int, bias_at: int | None, wide: bool) -> Rescaler:
    """(x − zero) · weightsᵀ + bias → int16 in Q3.12; the scales are multiplied in float32."""
    tensor = graph.input(op, position)
    bias = graph.tensor(op, bias_at) if bias_at is not None else None
    weights = tensor.array().astype(np.int64).T
    constant = 0 if bias is None else bias.array().astype(np.int64)
    rescale = rescaler(
        graph, np.float64(scale_of(x) * scale_of(tensor) / np.float32(_GATE_SCALE)), _int16(), 2.0**31, wide=wide
    )
    zero = zero_of(x)
    return lambda values: rescale((values.astype(np.int64) - zero) @ weights + constant)
