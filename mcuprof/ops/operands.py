"""Which operands an operator cannot be without. Runtimes follow the pointer all the same; readers refuse it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mcuprof.errors import ModelError
from mcuprof.graph import ABSENT, DType, Graph
from mcuprof.ops import is_known

# Inputs beyond the first, from the kernels' Prepare functions (tflite-micro), where both formats have them as inputs.
_INPUTS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "SPLIT", "PRELU"), (0, 1)),
        **dict.fromkeys(("ADD", "SUB", "MUL", "PAD", "PADV2", "ASSIGN_VARIABLE"), (0, 1)),
        "TRANSPOSE_CONV": (0, 1),
        "SPLIT_V": (0, 1, 2),
        **dict.fromkeys(("CUSTOM:SignalWindow", "CUSTOM:SignalFilterBankSquareRoot"), (0, 1)),
        "CUSTOM:SignalPCAN": (0, 1, 2),
        "CUSTOM:SignalFilterBank": tuple(range(6)),
        "SVDF": (0, 1, 2, 4),  # the bias is optional, the state is not
        **dict.fromkeys(("VAR_HANDLE", "CALL_ONCE", "CALL", "WHILE"), ()),
    }
)
# Nothing at all, or (recurrent operators of ONNX) only a later one.
_WITHOUT_OUTPUT = frozenset(("ASSIGN_VARIABLE", "CALL_ONCE", "CALL", "IF", "WHILE", "GRU", "LSTM", "RNN"))


def check_operands(graph: Graph) -> None:
    """Raises ModelError when a known operator lacks an input that it needs, has no output, or one of a wrong type."""
    for g in (graph, *graph.subgraphs):
        for number, op in enumerate(g.ops):
            if not is_known(op):
                continue
            for position in _INPUTS.get(op.kind, (0,)):
                if position >= len(op.inputs) or op.inputs[position] == ABSENT:
                    raise ModelError(f"operator {number} ({op.kind}) has no input {position}")
            if op.kind not in _WITHOUT_OUTPUT and op.outputs[:1] in ((), (ABSENT,)):
                raise ModelError(f"operator {number} ({op.kind}) has no output")
            scale = g.tensor(op, 1) if op.source == "DequantizeLinear" else None
            if scale is not None and not scale.dtype.is_float:
                raise ModelError(f"operator {number} ({op.kind}) has a scale of type {scale.dtype.value}")
            if op.kind in ("READ_VARIABLE", "ASSIGN_VARIABLE") and g.input(op).dtype is not DType.RESOURCE:
                raise ModelError(f"operator {number} ({op.kind}) has a {g.input(op).dtype.value} for a variable")
            if op.kind == "VAR_HANDLE" and g.output(op).dtype is not DType.RESOURCE:
                # The kernel writes a handle of its own into the tensor, of which runtimes plan 4 bytes per element.
                raise ModelError(f"operator {number} ({op.kind}) writes a {g.output(op).dtype.value}, not a resource")
