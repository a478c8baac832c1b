"""How a model is quantized, in one line for people: `int8 per-channel`, `int16x8`, `hybrid int8 weights`, `float32`."""

from __future__ import annotations

from mcuprof.graph import DType, Graph, Op, Tensor

WEIGHTED = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"),
    *("UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "GRU", "RNN", "SVDF"),
)


def scheme(graph: Graph) -> str:
    """The types that carry most of the work: activations and weights of the operators with weights."""
    pairs = [pair for op in graph.ops if op.kind in WEIGHTED and (pair := operands(graph, op)) is not None]
    if not pairs:
        types = sorted({graph.tensors[index].dtype.value for index in (*graph.inputs, *graph.outputs)})
        return "+".join(types) or "none"
    activations = {x.dtype for x, _ in pairs}
    weights = {w.dtype for _, w in pairs}
    channels = any(w.quantization is not None and w.quantization.per_channel for _, w in pairs)
    suffix = " per-channel" if channels else ""
    if activations <= {DType.FLOAT32, DType.FLOAT16, DType.FLOAT64, DType.BFLOAT16}:
        if any(dtype.is_integer for dtype in weights):
            kinds = "/".join(sorted(dtype.value for dtype in weights if dtype.is_integer))
            return f"hybrid {kinds} weights{suffix}"
        return "+".join(sorted(dtype.value for dtype in activations | weights))
    if len(activations) > 1:
        return "mixed " + "+".join(sorted(dtype.value for dtype in activations)) + suffix
    (activation,) = activations
    widths = sorted({dtype.bits for dtype in weights})
    if activation is DType.INT16 and widths == [8]:
        return f"int16x8{suffix}"
    odd = [dtype.value for dtype in sorted(weights, key=lambda dtype: dtype.bits) if dtype.bits < 8]
    return f"{activation.value}{f' with {odd[0]} weights' if odd else ''}{suffix}"


def operands(graph: Graph, op: Op) -> tuple[Tensor, Tensor] | None:
    """The operator's activations and weights: the first computed tensor and the first constant of rank ≥ 2.

    Where nothing is constant the activations stand for both; None where nothing is computed.
    """
    tensors = [graph.tensors[index] for index in op.inputs if index >= 0]
    computed = next((t for t in tensors if not t.is_constant and not t.variable), None)
    weights = next((t for t in tensors if t.is_constant and len(t.shape) >= 2), None)
    if computed is None:
        return None
    return computed, weights if weights is not None else computed
