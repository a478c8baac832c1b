"""Parts of a network in float, on graphs drawn by hand."""

from __future__ import annotations

from mcuprof.graph import DType, Graph, Tensor
from mcuprof.ops.islands import FloatParts, float_parts
from tests.graphs import Affine, graph, op, tensor

Q: Affine = {"scale": [0.5], "zero_point": [0]}


def q(name: str) -> Tensor:
    return tensor(name, [1, 4], **Q)


def f(name: str) -> Tensor:
    return tensor(name, [1, 4], DType.FLOAT32)


WEIGHTS = tensor("w", [4, 4], data=bytes(16), **Q)


def network(*middle: str) -> Graph:
    """FULLY_CONNECTED, DEQUANTIZE, the `middle` in float, QUANTIZE."""
    tensors = [q("x"), WEIGHTS, q("dense"), f("f0")]
    ops = [op("FULLY_CONNECTED", (0, 1), (2,)), op("DEQUANTIZE", (2,), (3,))]
    for kind in middle:
        tensors.append(f("f"))
        ops.append(op(kind, (len(tensors) - 2,), (len(tensors) - 1,)))
    tensors.append(q("y"))
    ops.append(op("QUANTIZE", (len(tensors) - 2,), (len(tensors) - 1,)))
    return graph(tensors, ops, [0], [len(tensors) - 1])


def test_between_conversions_is_an_island() -> None:
    assert float_parts(network("HARD_SWISH", "TANH")) == FloatParts(islands=((2, 3),))


def test_conversions_around_nothing_are_an_island() -> None:
    assert float_parts(network()) == FloatParts(islands=((2,),))


def test_a_reshape_alone_computes_nothing() -> None:
    assert float_parts(network("RESHAPE")) == FloatParts()


def test_float_up_to_the_output_is_left_over() -> None:
    g = graph(
        [q("x"), WEIGHTS, q("dense"), f("f0"), f("y")],
        [op("FULLY_CONNECTED", (0, 1), (2,)), op("DEQUANTIZE", (2,), (3,)), op("SOFTMAX", (3,), (4,))],
        [0],
        [4],
    )
    assert float_parts(g) == FloatParts(left=((2,),))


def test_conversions_at_the_border_are_neither() -> None:
    g = graph(
        [f("x"), q("in"), WEIGHTS, q("out"), f("y")],
        [op("QUANTIZE", (0,), (1,)), op("FULLY_CONNECTED", (1, 2), (3,)), op("DEQUANTIZE", (3,), (4,))],
        [0],
        [4],
    )
    assert float_parts(g) == FloatParts()


def test_a_float_network_is_not_quantized() -> None:
    weights = tensor("w", [4, 4], DType.FLOAT32, data=bytes(64))
    g = graph([f("x"), weights, f("y")], [op("FULLY_CONNECTED", (0, 1), (2,))], [0], [2])
    assert float_parts(g) == FloatParts(everywhere=True)


def test_of_arithmetic_without_weights_nothing_is_said() -> None:
    assert float_parts(graph([f("x"), f("y")], [op("RELU", (0,), (1,))], [0], [1])) == FloatParts()


def test_counted_values_have_to_be_converted_somewhere() -> None:
    """CAST of an index to float, then QUANTIZE: no DEQUANTIZE feeds it."""
    g = network("TANH")
    tensors = [*g.tensors, tensor("index", [1, 4], DType.INT32), f("cast"), q("z")]
    n = len(g.tensors)
    ops = [*g.ops, op("CAST", (n,), (n + 1,)), op("QUANTIZE", (n + 1,), (n + 2,))]
    assert float_parts(graph(tensors, ops, [0, n], [n - 1, n + 2])).islands == ((2,),)
