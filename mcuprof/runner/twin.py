"""What quantization costs in each layer: the quantized model beside the float model that it was made from.

Layers are matched by the names of tensors, which converters keep, and what has no such name by the order of operators
that multiply: both models do the same number of multiplications there. A layer ends behind its activation function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import numpy as np

from mcuprof.errors import UsageError
from mcuprof.graph import ABSENT, Graph, Tensor
from mcuprof.ops import macs
from mcuprof.ops.floating import dequantize
from mcuprof.ops.kernel import Array, NoKernel, scales_of
from mcuprof.runner.oracles import open_oracle
from mcuprof.runner.program import evaluate, prepare

_ACTIVATIONS = frozenset(
    {"Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "BatchNormalization"}
    | {"RELU", "RELU6", "LEAKY_RELU", "PRELU", "HARD_SWISH", "LOGISTIC", "TANH"}
    | {"QuantizeLinear", "DequantizeLinear", "QUANTIZE", "DEQUANTIZE"}
)
_QUANTIZERS = frozenset({"QuantizeLinear", "QUANTIZE"})

Powers = tuple[float, float]
Noise = tuple[Powers | None, ...]
"""Per layer, sums over one input: of the float values squared, and of the errors squared; None where not computed."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A tensor of the quantized graph and the one of the float graph that it stands for."""

    quantized: int
    float: int
    matched: Literal["name", "order"]


@dataclass(frozen=True, slots=True)
class LayerNoise:
    """One layer over all inputs. `sqnr_db` is None where there is no noise, or no signal."""

    tensor: int
    name: str
    operator: int
    kind: str
    reference: str
    matched: Literal["name", "order"]
    signal: float
    noise: float

    @property
    def sqnr_db(self) -> float | None:
        """10 · log10(Σ x² / Σ (x − x̂)²), x of the float model and x̂ dequantized.

        Signal-to-quantization-noise ratio as in Sheng et al., "A Quantization-Friendly Separable Convolution for
        MobileNets", 2018 (arXiv:1803.08607), section 3: the power of the signal over the power of the error.
        """
        if not (0 < self.noise < math.inf and 0 < self.signal < math.inf):
            return None
        return 10 * math.log10(self.signal / self.noise)


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """Both graphs, their layers, and how the float one is run (`runtime` says by what)."""

    graphs: tuple[Graph, Graph]
    layers: tuple[Layer, ...]
    runtime: str
    run: Callable[[Mapping[int, Array]], Mapping[int, Array]]

    def noise(self, given: Mapping[int, Array], ours: Mapping[int, Array]) -> Noise:
        """The float model on the same input, and how far each layer of `ours` is from it."""
        graph, reference = self.graphs
        theirs = self.run(_feed(graph, reference, given))
        found: list[Powers | None] = []
        for layer in self.layers:
            real = _real(graph.tensors[layer.quantized], ours.get(layer.quantized))
            other = theirs.get(layer.float)
            if real is None or other is None or (exact := _laid_out(graph, reference, other, real.shape)) is None:
                found.append(None)
                continue
            x = exact.astype(np.float64)
            found.append((float(np.sum(x * x)), float(np.sum((x - real) ** 2))))
        return tuple(found)


def open_twin(graph: Graph, reference: Graph) -> Twin:
    """`reference` beside `graph`, run by LiteRT or ONNX Runtime where installed, else by mcuprof's own float kernels.

    Raises UsageError when nothing can run it, when its inputs are others, or when no layer matches.
    """
    if len(_inputs(graph)) != len(_inputs(reference)):
        raise UsageError(f"the reference has {len(_inputs(reference))} inputs, the model {len(_inputs(graph))}")
    layers = _layers(graph, reference)
    if not layers:
        raise UsageError("no layer of the reference matches one of the model: it is not its float twin")
    name = "onnxruntime" if reference.origin.format == "onnx" else "litert"
    try:
        return Twin((graph, reference), layers, name, open_oracle(name, reference).run)
    except UsageError as error:
        program = prepare(reference)
        if program.missing:
            index, reason = min(program.missing.items())
            kind = reference.ops[index].kind
            raise UsageError(f"the reference cannot be run: {error}; operator {index} ({kind}): {reason}") from None
        state = program.initial_state()  # kept from one input to the next, as the other runtimes do
        return Twin((graph, reference), layers, "mcuprof", lambda given: evaluate(program, given, state))


def noisiest_first(twin: Twin, inputs: Sequence[Noise]) -> tuple[LayerNoise, ...]:
    """The layers that were computed, summed over all inputs, the worst ratio first."""
    graph, reference = twin.graphs
    found = []
    for number, layer in enumerate(twin.layers):
        powers = [one[number] for one in inputs]
        have = [pair for pair in powers if pair is not None]
        if not have:
            continue
        operator = graph.producer[layer.quantized]
        found.append(
            LayerNoise(
                layer.quantized,
                graph.tensors[layer.quantized].name,
                operator,
                graph.ops[operator].kind,
                reference.tensors[layer.float].name,
                layer.matched,
                math.fsum(signal for signal, _ in have),
                math.fsum(noise for _, noise in have),
            )
        )
    return tuple(sorted(found, key=lambda one: (math.inf if one.sqnr_db is None else one.sqnr_db, one.operator)))


# Matching -------------------------------------------------------------------------------------------------------------


def _layers(graph: Graph, reference: Graph) -> tuple[Layer, ...]:
    """Each tensor once, in the model's order."""
    found = {layer.quantized: layer for layer in (*_by_order(graph, reference), *_by_name(graph, reference))}
    position = {tensor: number for number, op in enumerate(graph.ops) for tensor in op.outputs}
    return tuple(sorted(found.values(), key=lambda layer: position[layer.quantized]))


def _by_name(graph: Graph, reference: Graph) -> list[Layer]:
    """Tensors of the same name that are made with as many multiplications; mere numbers are not names."""
    names = {reference.tensors[tensor].name: tensor for tensor in reference.producer}
    found = []
    for tensor, producer in graph.producer.items():
        name = graph.tensors[tensor].name
        other = names.get(name)
        if other is None or not name or name.isdigit() or not reference.tensors[other].dtype.is_float:
            continue
        if macs(graph, graph.ops[producer]) == macs(reference, reference.ops[reference.producer[other]]):
            found.append(Layer(_rounded(graph, tensor), other, "name"))
    return [layer for layer in found if _is_real(graph.tensors[layer.quantized])]


def _by_order(graph: Graph, reference: Graph) -> list[Layer]:
    ours, theirs = _multiplying(graph), _multiplying(reference)
    matcher = SequenceMatcher(None, [count for _, count in ours], [count for _, count in theirs], autojunk=False)
    found = []
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            tensor = _end(graph, ours[block.a + step][0])
            other = _end(reference, theirs[block.b + step][0])
            if _is_real(graph.tensors[tensor]) and reference.tensors[other].dtype.is_float:
                found.append(Layer(tensor, other, "order"))
    return found


def _multiplying(graph: Graph) -> list[tuple[int, int]]:
    """Output and MACs of each operator that multiplies by weights; activation functions belong to the layer before."""
    return [
        (op.outputs[0], count)
        for op in graph.ops
        if op.outputs and op.outputs[0] != ABSENT and op.kind not in _ACTIVATIONS and (count := macs(graph, op))
    ]


def _end(graph: Graph, tensor: int) -> int:
    """The last tensor of the layer that begins with this one."""
    seen = {tensor}
    while len(readers := graph.consumers.get(tensor, ())) == 1 and tensor not in graph.outputs:
        op = graph.ops[readers[0]]
        if op.kind not in _ACTIVATIONS or not op.outputs or op.outputs[0] in seen or op.inputs[0] != tensor:
            break
        tensor = op.outputs[0]
        seen.add(tensor)
    return tensor


def _rounded(graph: Graph, tensor: int) -> int:
    """In a QDQ model, what the float tensor becomes when it is quantized."""
    readers = graph.consumers.get(tensor, ())
    if graph.tensors[tensor].dtype.is_float and len(readers) == 1 and graph.ops[readers[0]].kind in _QUANTIZERS:
        return graph.ops[readers[0]].outputs[0]
    return tensor


# Values ---------------------------------------------------------------------------------------------------------------


def _inputs(graph: Graph) -> list[int]:
    return [index for index in graph.inputs if not graph.tensors[index].is_constant]


def _feed(graph: Graph, reference: Graph, given: Mapping[int, Array]) -> dict[int, Array]:
    """The same input for the float model: by name where both have it, else by position."""
    ours, theirs = _inputs(graph), _inputs(reference)
    names = {graph.tensors[index].name: index for index in ours}
    by_name = all(reference.tensors[index].name in names for index in theirs)
    feed = {}
    for position, index in enumerate(theirs):
        wanted = reference.tensors[index]
        source = names[wanted.name] if by_name else ours[position]
        tensor, value = graph.tensors[source], given[source]
        real: Array | None = _real(tensor, value) if wanted.dtype.is_float else value
        fitted = None if real is None else _laid_out(reference, graph, real, wanted.shape)
        if fitted is None:
            raise UsageError(f"input {tensor.name!r} does not fit the reference's {wanted.name!r} {list(wanted.shape)}")
        feed[index] = np.ascontiguousarray(fitted, np.float32 if wanted.dtype.is_float else fitted.dtype)
    return feed


def _is_real(tensor: Tensor) -> bool:
    """True for floats, and for integers with a scale."""
    try:
        return tensor.dtype.is_float or bool(len(scales_of(tensor)))
    except NoKernel:
        return False


def _real(tensor: Tensor, value: Array | None) -> Array | None:
    """The real numbers that the stored ones stand for; None where they stand for none."""
    if value is None or not _is_real(tensor):
        return None
    return value if value.dtype.kind == "f" else dequantize(tensor, value)


def _laid_out(target: Graph, source: Graph, array: Array, shape: Sequence[int]) -> Array | None:
    """The array in `shape`, from NCHW to NHWC or back between formats; None when it is another tensor."""
    if len(shape) == 4 and array.ndim == 4 and target.origin.format != source.origin.format:
        axes = (0, 2, 3, 1) if source.origin.format == "onnx" else (0, 3, 1, 2)
        turned = np.transpose(array, axes)
        if turned.shape == tuple(shape):
            return turned
    if array.shape == tuple(shape):
        return array
    same = [size for size in array.shape if size != 1] == [size for size in shape if size != 1]
    return array.reshape(tuple(shape)) if same else None
