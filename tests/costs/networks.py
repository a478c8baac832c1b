"""Small networks built by hand for the tests of the cost room."""

from __future__ import annotations

from mcuprof.graph import DType, Graph, Op, Quantization, Shape, Tensor
from mcuprof.graph.graph import Attribute

_UNIT = Quantization((1.0,), (0,))


def tensor(shape: Shape, dtype: DType = DType.INT8, *, constant: bool = False) -> Tensor:
    return Tensor("", shape, dtype, _UNIT, memoryview(b"") if constant else None)


def one_op(kind: str, inputs: list[Tensor], output: Tensor, **attributes: Attribute) -> Graph:
    """A network of a single operator."""
    tensors = (*inputs, output)
    op = Op(kind, tuple(range(len(inputs))), (len(inputs),), attributes)
    return Graph("one", tensors, (op,), (0,), (len(inputs),))


def convolution(in_h: int, in_w: int, in_c: int, out_c: int, kernel: tuple[int, int], **attributes: Attribute) -> Graph:
    """An int8 CONV_2D with SAME padding and stride 1 unless attributes say otherwise."""
    stride_h, stride_w = attributes.get("stride_h", 1), attributes.get("stride_w", 1)
    assert isinstance(stride_h, int)
    assert isinstance(stride_w, int)
    weights = tensor((out_c, *kernel, in_c), constant=True)
    out = tensor((1, -(-in_h // stride_h), -(-in_w // stride_w), out_c))
    return one_op("CONV_2D", [tensor((1, in_h, in_w, in_c)), weights], out, **{"padding": "SAME", **attributes})


def dense(inputs: int, units: int, dtype: DType = DType.INT8) -> Graph:
    weights = tensor((units, inputs), dtype, constant=True)
    return one_op("FULLY_CONNECTED", [tensor((1, inputs), dtype), weights], tensor((1, units), dtype))


def of_kinds(kinds: list[str]) -> Graph:
    """A network with these operators, whose tensors do not matter."""
    return Graph("kinds", (), tuple(Op(kind, (), ()) for kind in kinds), (), ())
