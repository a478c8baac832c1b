"""What ONNX's LSTM, GRU and RNN share: operands and options, directions, lengths, products with the weights.

Source: onnxruntime `core/providers/cpu/rnn/rnn_helpers.cc`, `lstm_base.h`, and for integer weights
`contrib_ops/cpu/quantization/dynamic_quantize_lstm.cc`. All on one thread: with more of them, integer products get the
rows of a batch quantized in groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcuprof.graph import ABSENT, Graph, Op, Shape
from mcuprof.ops import mlas
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, is_float, is_onnx, matmul_type
from mcuprof.ops.onnx_activations import Activation, Function, read_functions
from mcuprof.ops.quantize import along_axis, quantize_dynamically
from mcuprof.ops.sums import DEQUANTIZED

# Positions of the inputs.
X, W, R, BIAS, LENGTHS, HIDDEN, CELL, PEEPHOLES = range(8)
# Scale and zero point of integer weights, where the tensors cannot carry them.
_PARAMETERS = {W: (8, 9), R: (10, 11)}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}

Product = Callable[[Array, Any], Array]
"""(rows [M, K], what to add to [M, N] or None) → [M, N]."""
States = tuple[Array, ...]
_LARGEST = float.fromhex("0x1.fffffep127")  # of float32
_NONE: Mapping[str, Activation] = {}


@dataclass(frozen=True, slots=True)
class Cell:
    """One direction: `enter` multiplies x with W; `step(the step's share of that, states)` gives the new states.

    States are [batch, hidden]; the first of them is the output. `to_the_end`: the runtime multiplies the steps beyond
    the longest sequence, too, and the number of rows decides in which order a product is summed up.
    """

    enter: Callable[[Array], Array]
    step: Callable[[Array, States], States]
    to_the_end: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator's sizes and options; `backwards` and `functions` have one entry per direction."""

    graph: Graph
    op: Op
    gates: int
    steps: int
    batch: int
    hidden: int
    backwards: tuple[bool, ...]
    functions: tuple[tuple[Function, ...], ...]

    def activations(self, direction: int, special: Mapping[str, Activation] = _NONE) -> list[Activation]:
        """The functions of one direction; those in `special` are computed so."""
        return [function.bound(special) for function in self.functions[direction]]

    def clipped(self, values: Array) -> Array:
        """What goes into an activation, within ±clip: without one, what float32 holds."""
        clip = np.float32(self.op.number("clip", _LARGEST))
        return np.clip(values, -clip, clip)

    def vectors(self, position: int, direction: int, operands: Inputs, count: int) -> list[Array]:
        """One direction's share of an optional operand, cut into `count` vectors; zeros where it is absent."""
        if self.graph.tensor(self.op, position) is None:
            return [np.zeros(self.hidden, np.float32)] * count
        return np.split(operands[position][direction], count)

    def product(
        self, position: int, direction: int, operands: Inputs, gates: slice = slice(None), *, packed: bool = True
    ) -> Product:
        """The product with one direction of W or R, or with what some gates have of it.

        `packed`: the runtime packs what is constant.
        """
        tensor, stored = self.graph.input(self.op, position), operands[position][direction]
        columns = np.arange(self.gates * self.hidden).reshape(self.gates, -1)[gates].reshape(-1)
        if is_float(tensor):
            matrix = np.ascontiguousarray(stored[columns].T)
            packed &= tensor.is_constant and not self.op.integer(DEQUANTIZED)
            return lambda rows, start: mlas.dense(rows, matrix, start, packed=packed, transposed=True)
        count = len(self.backwards)
        if tensor.quantization is not None:
            parameters = along_axis(tensor)
        else:
            scale_at, zero_at = _PARAMETERS[position]
            parameters = _spread(operands[scale_at], count), _spread(operands[zero_at], count)
        whole = (count, 1, self.gates * self.hidden)
        scale, zero = (np.broadcast_to(values, whole)[direction][:, columns] for values in parameters)
        return _dynamic(stored[:, columns].astype(np.int64) - zero, scale)


def read_layer(graph: Graph, op: Op, gates: int, defaults: tuple[str, ...], states: tuple[int, ...]) -> Layer:
    """The operator with its operands checked. `states` are the positions of the initial states.

    `defaults` are a direction's activations where the file names none. Raises NoKernel for what ONNX Runtime refuses
    and for what is not computed here.
    """
    if not is_onnx(graph):
        raise NoKernel("not executed by mcuprof")
    x, weights, recurrent = (graph.input(op, position) for position in (X, W, R))
    dynamic = bool(op.integer("transposed"))
    if not is_float(x) or is_float(weights) == dynamic or is_float(recurrent) == dynamic:
        raise NoKernel(f"{weights.dtype.value} weights on {x.dtype.value}")
    if op.integer("layout"):
        raise NoKernel("layout 1, which ONNX Runtime does not run either")
    if "clip" in op.attributes and not op.number("clip") > 0:
        raise NoKernel(f"a clip of {op.number('clip'):g}")
    direction = op.text("direction", "forward")
    if direction not in _DIRECTIONS:
        raise NoKernel(f"direction {direction!r}")
    backwards = _DIRECTIONS[direction]
    count, columns = len(backwards), gates * recurrent.shape[1 if dynamic else -1]
    steps, batch, features = x.shape
    hidden = columns // gates
    if op.integer("hidden_size", hidden) != hidden:
        raise NoKernel(f"weights for {hidden} units, of which it says {op.integer('hidden_size')}")
    needed: dict[int, Shape] = {
        W: (count, features, columns) if dynamic else (count, columns, features),
        R: (count, hidden, columns) if dynamic else (count, columns, hidden),
        BIAS: (count, 2 * columns),
        LENGTHS: (batch,),
        **dict.fromkeys(states, (count, batch, hidden)),
        PEEPHOLES: (count, 3 * hidden),
    }
    for position, shape in needed.items():
        tensor = graph.tensor(op, position)
        if tensor is not None and tensor.shape != shape:
            raise NoKernel(f"{_dims(tensor.shape)} elements in input {position}, where it needs {_dims(shape)}")
        if tensor is not None and position in (BIAS, PEEPHOLES, *states) and not is_float(tensor):
            raise NoKernel(f"type {tensor.dtype.value} in input {position}")
    functions = read_functions(op, defaults, count)
    return Layer(graph, op, gates, steps, batch, hidden, backwards, functions)


def prepare_layer(layer: Layer, cell: Callable[[int, Inputs], Cell], states: tuple[int, ...]) -> Kernel:
    """x [steps, batch, features] → y [steps, directions, batch, hidden], then the last of each state.

    `cell(direction, operands)` makes one direction; `states` are the positions of the initial states.
    """
    graph, op = layer.graph, layer.op
    numbers = range(len(layer.backwards))
    given = [graph.tensor(op, position) for position in range(len(op.inputs))]
    fixed = [tensor.array() if tensor is not None and tensor.is_constant else None for tensor in given]
    varies = (X, LENGTHS, *states)
    constant = all(tensor is None or tensor.is_constant or at in varies for at, tensor in enumerate(given))
    cells = [cell(direction, fixed) for direction in numbers] if constant else None
    zeros = np.zeros((len(layer.backwards), layer.batch, layer.hidden), np.float32)
    # The output of a row that has ended takes part in the quantization of its batch: 0, or where nobody wants the
    # outputs, and so none is written, the row's last one.
    stays = op.outputs[0] == ABSENT

    def run(inputs: Inputs) -> tuple[Array, ...]:
        lengths = _lengths(layer, inputs, stays)
        initial = [inputs[at] if at < len(inputs) and inputs[at] is not None else zeros for at in states]
        outputs, finals = [], []
        for direction in numbers:
            one = cells[direction] if cells is not None else cell(direction, inputs)
            x = inputs[X]
            if layer.backwards[direction]:
                x = _reversed(x, lengths)
            y, last = _sequence(layer, one, x, lengths, tuple(state[direction] for state in initial), stays)
            outputs.append(_reversed(y, lengths) if layer.backwards[direction] else y)
            finals.append(last)
        return np.stack(outputs, axis=1), *(np.stack(state) for state in zip(*finals, strict=True))

    return run


def _sequence(layer: Layer, cell: Cell, x: Array, lengths: Array, states: States, stays: bool) -> tuple[Array, States]:
    """One direction over all steps, forwards: outputs, and the states of each row's last step."""
    longest = int(lengths.max(initial=0))
    outputs = np.zeros((layer.steps, layer.batch, layer.hidden), np.float32)
    finals = tuple(np.zeros_like(state) for state in states)
    if not longest:
        return outputs, finals
    entering = x if cell.to_the_end else x[:longest]
    entered = cell.enter(entering.reshape(-1, x.shape[-1])).reshape(len(entering), layer.batch, -1)
    for step in range(longest):
        live, last = np.less(step, lengths)[:, None], np.equal(step + 1, lengths)[:, None]
        new = cell.step(entered[step], states)
        outputs[step] = np.where(live, new[0], np.float32(0))
        finals = tuple(np.where(last, value, final) for value, final in zip(new, finals, strict=True))
        idle = (states[0] if stays else np.zeros_like(states[0]), *states[1:])
        states = tuple(np.where(live, value, old) for value, old in zip(new, idle, strict=True))
    return outputs, finals


def _lengths(layer: Layer, inputs: Inputs, stays: bool) -> Array:
    """Steps of each row of the batch."""
    if layer.graph.tensor(layer.op, LENGTHS) is None:
        return np.full(layer.batch, layer.steps)
    lengths: Array = inputs[LENGTHS]
    if lengths.size and not 0 <= lengths.min() <= lengths.max() <= layer.steps:
        raise NoKernel(f"sequences of {lengths.min()} to {lengths.max()} steps in {layer.steps}")
    if stays and layer.op.integer("transposed") and lengths.max(initial=0) > 1 and not lengths.all():
        raise NoKernel("an empty sequence without outputs, whose state ONNX Runtime reads where it has written none")
    return lengths


def _reversed(values: Array, lengths: Array) -> Array:
    """Each row of the batch backwards within its length; what lies beyond stays."""
    result = values.copy()
    for row, length in enumerate(lengths):
        result[:length, row] = values[:length, row][::-1]
    return result


def _dims(shape: Shape) -> str:
    return "x".join(map(str, shape))


# Integer weights ------------------------------------------------------------------------------------------------------


def _dynamic(weights: Array, scale: Array) -> Product:
    """`ComputeGemm` on integers: the rows are quantized together, the sums scaled in float32 and then added."""
    bound = 255.0 * float(np.abs(weights).sum(axis=0).max(initial=0))
    matrix = weights.astype(matmul_type(bound))

    def product(rows: Array, start: Array | None) -> Array:
        q, step, zero = quantize_dynamically(rows)
        sums = (q.astype(matrix.dtype) - matrix.dtype.type(zero)) @ matrix
        scaled: Array = sums.astype(np.float32) * (scale * step)
        return scaled if start is None else start + scaled

    return product


def _spread(values: Any, directions: int) -> Array:
    """One value per direction, or per direction and column, to be broadcast along [directions, in, columns]."""
    return np.asarray(values).reshape(directions, 1, -1)
