"""ONNX LSTM and com.microsoft DynamicQuantizeLSTM under ONNX Runtime's numerics, bit for bit.

Source: onnxruntime `core/providers/cpu/rnn/uni_directional_lstm.cc`, `rnn_helpers.cc`. Gates are in the order input,
output, forget, cell. Both biases are added up first; the sum is added when both products are.
"""

from __future__ import annotations

import numpy as np

from mcuprof.graph import Graph, Op
from mcuprof.ops.kernel import Array, Inputs, Kernel
from mcuprof.ops.onnx_recurrent import (
    BIAS,
    CELL,
    HIDDEN,
    PEEPHOLES,
    Cell,
    Layer,
    R,
    States,
    W,
    prepare_layer,
    read_layer,
)

_GATES = 4
_DEFAULTS = ("sigmoid", "tanh", "tanh")
_STATES = (HIDDEN, CELL)


def prepare_onnx_lstm(graph: Graph, op: Op) -> Kernel:
    """x [steps, batch, features] → y [steps, directions, batch, hidden], last hidden and last cell state.

    Float weights are [directions, 4 · hidden, in]; integers, with the attribute `transposed`, [directions, in,
    4 · hidden].
    """
    layer = read_layer(graph, op, _GATES, _DEFAULTS, _STATES)
    return prepare_layer(layer, lambda direction, operands: _cell(layer, direction, operands), _STATES)


def _cell(layer: Layer, direction: int, operands: Inputs) -> Cell:
    recur = layer.product(R, direction, operands)
    halves = layer.vectors(BIAS, direction, operands, 2 * _GATES)
    bias_i, bias_o, bias_f, bias_g = (a + b for a, b in zip(halves[:_GATES], halves[_GATES:], strict=True))
    peepholes = layer.vectors(PEEPHOLES, direction, operands, 3)
    gate, candidate, squash = layer.activations(direction)
    sees = layer.graph.tensor(layer.op, PEEPHOLES) is not None
    coupled = bool(layer.op.integer("input_forget"))

    def peep(values: Array, cell: Array, at: int) -> Array:
        return values + cell * peepholes[at] if sees else values

    def step(entered: Array, states: States) -> States:
        h, c = states
        i, o, f, g = np.split(recur(h, entered), _GATES, axis=1)
        i = gate(layer.clipped(peep(i, c, 0) + bias_i))
        f = np.float32(1) - i if coupled else gate(layer.clipped(peep(f, c, 2) + bias_f))
        g = candidate(layer.clipped(g + bias_g))
        c = c * f + i * g
        o = gate(layer.clipped(peep(o, c, 1) + bias_o))
        return o * squash(c), c

    enter = layer.product(W, direction, operands)
    return Cell(lambda rows: enter(rows, None), step)
