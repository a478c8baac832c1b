"""SVDF: per filter a dot product over features, a shift register of its results, and a dot product over that time.

Kernel: TFLM `svdf_common.cc` (`EvalIntegerSvdfReference` with int8 or int16 state, `EvalFloatSvdfReference`).
"""

from __future__ import annotations

import numpy as np

from mcuprof.graph import Graph, Op
from mcuprof.ops.kernel import (
    Array,
    Inputs,
    Kernel,
    NoKernel,
    Target,
    clamp_float,
    divisor_of,
    is_float,
    is_onnx,
    limits,
    plain_target,
    rescaler,
    scale_of,
    storage,
    zero_of,
)
from mcuprof.ops.sums import product


def prepare_svdf(graph: Graph, op: Op) -> Kernel:
    """Inputs: x [batch, in], features [filters, in], time [filters, memory], bias [units] and the state.

    Returns the output [batch, units] and the new state [batch, filters · memory]. filters = units · rank.
    """
    x, features, time, state, out = (*(graph.input(op, position) for position in (0, 1, 2, 4)), graph.output(op))
    if is_onnx(graph) or is_float(x) != is_float(features) or not features.is_constant or not time.is_constant:
        raise NoKernel("computed or mixed-type weights")
    rank, memory = max(1, op.integer("rank", 1)), time.shape[-1]
    batch, filters = x.shape[0], features.shape[0]
    bias = graph.tensor(op, 3)
    register = (batch, filters, memory)

    if is_float(x):
        matrix, taps = np.ascontiguousarray(features.array().T), time.array()

        def run(inputs: Inputs) -> tuple[Array, ...]:
            shifted = np.concatenate(
                [inputs[4].reshape(register)[..., 1:], np.empty((batch, filters, 1), np.float32)], 2
            )
            shifted[..., -1] = product(inputs[0].reshape(batch, -1), matrix, "reference")
            products = np.add.accumulate(shifted * taps, axis=-1)[..., -1].reshape(batch, -1, rank)
            total = np.zeros((batch, filters // rank), np.float32)
            if inputs[3] is not None:
                total += inputs[3]
            for part in range(rank):
                total = total + products[..., part]
            return clamp_float(op, total), shifted.reshape(state.shape)

        return run

    weights = features.array().astype(np.int64).T
    taps64 = time.array().astype(np.int64)
    state_target = Target(0, *limits(state.dtype), storage(state.dtype))
    # Products of scales in float32, as `PrepareSvdf` forms them.
    first = rescaler(graph, np.float64(scale_of(x) * scale_of(features) / divisor_of(state)), state_target, 2.0**31)
    second = rescaler(
        graph, np.float64(divisor_of(state) * scale_of(time) / divisor_of(out)), plain_target(out), 2.0**31
    )
    zero, state_zero = zero_of(x), zero_of(state)
    constant_bias = 0 if bias is None else bias.array().reshape(-1).astype(np.int64)

    def run_integer(inputs: Inputs) -> tuple[Array, ...]:
        # The zero point is added after the clamp, so that a sum may wrap.
        new = first((inputs[0].reshape(batch, -1).astype(np.int64) - zero) @ weights).astype(np.int64) + state_zero
        fresh = new.astype(storage(state.dtype))
        shifted = np.concatenate([inputs[4].reshape(register)[..., 1:], fresh[..., None]], axis=2)
        total = ((shifted.astype(np.int64) - state_zero) * taps64).sum(axis=-1).reshape(batch, -1, rank).sum(
            axis=-1
        ) + constant_bias
        return second(total).reshape(out.shape), shifted.reshape(state.shape)

    return run_integer
