"""ONNX RNN in float32 under ONNX Runtime's numerics, bit for bit.

Source: onnxruntime `core/providers/cpu/rnn/rnn.cc`. The product with W begins with both biases; that with the state is
summed up by itself and then added. Weights are never packed.
"""

from __future__ import annotations

from mcuprof.graph import Graph, Op
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel
from mcuprof.ops.onnx_activations import PLAIN
from mcuprof.ops.onnx_recurrent import BIAS, HIDDEN, Cell, Layer, R, States, W, prepare_layer, read_layer

_DEFAULTS = ("tanh",)
_STATES = (HIDDEN,)


def prepare_onnx_rnn(graph: Graph, op: Op) -> Kernel:
    """x [steps, batch, features] → y [steps, directions, batch, hidden] and the last state; weights as for an LSTM."""
    if op.integer("transposed"):
        raise NoKernel("integer weights")
    layer = read_layer(graph, op, 1, _DEFAULTS, _STATES)
    return prepare_layer(layer, lambda direction, operands: _cell(layer, direction, operands), _STATES)


def _cell(layer: Layer, direction: int, operands: Inputs) -> Cell:
    enter = layer.product(W, direction, operands, packed=False)
    recur = layer.product(R, direction, operands, packed=False)
    first, second = layer.vectors(BIAS, direction, operands, 2)
    biased = layer.graph.tensor(layer.op, BIAS) is not None
    (function,) = layer.activations(direction, PLAIN)

    def step(entered: Array, states: States) -> States:
        return (function(layer.clipped(recur(states[0], None) + entered)),)

    return Cell(lambda rows: enter(rows, (first + second) if biased else None), step, to_the_end=True)
