"""ONNX GRU in float32 under ONNX Runtime's numerics, bit for bit.

Source: onnxruntime `core/providers/cpu/rnn/deep_cpu_gru.cc`, `rnn_helpers.cc`. Gates are in the order update, reset,
hidden. The update gate goes through MLAS's functions, the other two through a loop that rounds each product.
"""

from __future__ import annotations

import numpy as np

from mcuprof.graph import Graph, Op
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel
from mcuprof.ops.onnx_activations import IN_STEPS
from mcuprof.ops.onnx_recurrent import BIAS, HIDDEN, Cell, Layer, R, States, W, prepare_layer, read_layer

_GATES = 3
_DEFAULTS = ("sigmoid", "tanh")
_STATES = (HIDDEN,)


def prepare_onnx_gru(graph: Graph, op: Op) -> Kernel:
    """x [steps, batch, features] → y [steps, directions, batch, hidden] and the last state; weights as for an LSTM."""
    if op.integer("transposed"):
        raise NoKernel("integer weights")
    layer = read_layer(graph, op, _GATES, _DEFAULTS, _STATES)
    return prepare_layer(layer, lambda direction, operands: _cell(layer, direction, operands), _STATES)


def _cell(layer: Layer, direction: int, operands: Inputs) -> Cell:
    hidden = layer.hidden
    gates = layer.product(R, direction, operands, slice(0, 2))
    candidates = layer.product(R, direction, operands, slice(2, 3))
    enter_z, enter_r, enter_h, bias_z, bias_r, bias_h = layer.vectors(BIAS, direction, operands, 2 * _GATES)
    update, _ = layer.activations(direction)
    reset, candidate = layer.activations(direction, IN_STEPS)
    biased = layer.graph.tensor(layer.op, BIAS) is not None
    late = bool(layer.op.integer("linear_before_reset"))

    def step(entered: Array, states: States) -> States:
        (h,) = states
        z, r = np.split(gates(h, entered[:, : 2 * hidden]), 2, axis=1)
        r = reset(layer.clipped(r + (enter_r + bias_r)))
        from_x = entered[:, 2 * hidden :]
        if late:
            g = from_x + r * candidates(h, np.broadcast_to(bias_h, h.shape) if biased else None)
            g = candidate(layer.clipped(g + enter_h))
        else:
            g = candidate(layer.clipped(candidates(r * h, from_x) + (enter_h + bias_h)))
        z = update(layer.clipped(z + (enter_z + bias_z)))
        return ((np.float32(1) - z) * g + z * h,)

    enter = layer.product(W, direction, operands)
    return Cell(lambda rows: enter(rows, None), step)
