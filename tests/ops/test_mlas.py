"""Float products and functions against ONNX Runtime's, bit for bit: every way of adding, every remainder of a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcuprof.ops import mlas
from mcuprof.readers.onnx import read_onnx
from mcuprof.runner.program import evaluate, prepare

runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")


def theirs(kind: str, feeds: dict[str, Any], constants: dict[str, Any], **attributes: Any) -> Any:
    """The output of one operator whose inputs are `feeds`, then `constants`, run without any optimisation."""
    return executed(network(kind, feeds, constants, **attributes), feeds)


def network(
    kind: str, feeds: dict[str, Any], constants: dict[str, Any], opset: int = 17, domain: str = "", **attributes: Any
) -> bytes:
    """A file of one operator."""
    helper = onnx.helper
    node = helper.make_node(kind, [*feeds, *constants], ["y"], domain=domain, **attributes)
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feeds.items()
    ]
    stored = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    (first, *_) = inputs
    output = helper.make_tensor_value_info("y", first.type.tensor_type.elem_type, None)
    whole = helper.make_graph([node], "one", inputs, [output], stored)
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    file = helper.make_model(whole, opset_imports=imports, ir_version=9)
    return bytes(file.SerializeToString())


def executed(file: bytes, feeds: dict[str, Any]) -> Any:
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(file, options, ["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def ours(file: bytes, feeds: dict[str, Any]) -> Any:
    graph = read_onnx(file, "", {})
    program = prepare(graph)
    program.require_all()
    return evaluate(program, dict(zip(graph.inputs, feeds.values(), strict=True)), program.initial_state())[
        graph.outputs[0]
    ]


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


SIZES = [(1, 7, 5), (1, 13, 7), (1, 300, 50), (6, 13, 1), (7, 700, 1), (20, 300, 1), (2, 1000, 2), (5, 600, 130)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_dense(size: tuple[int, int, int], biased: bool, packed: bool, transposed: bool) -> None:
    rows, depth, columns = size
    x, weights, bias = normal(1, rows, depth), normal(2, depth, columns), normal(3, columns)
    stored = {"w": np.ascontiguousarray(weights.T) if transposed else weights}
    added = {"b": bias} if biased else {}
    feeds, constants = ({"x": x}, {**stored, **added}) if packed else ({"x": x, **stored}, added)
    expected = theirs("Gemm", feeds, constants, transB=int(transposed))
    found = mlas.dense(x, weights, bias if biased else None, packed=packed, transposed=transposed)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("depth", "filters", "side"),
    [(100, 16, 8), (300, 16, 8), (300, 16, 16), (600, 64, 2), (31, 1, 9), (30, 1, 1), (300, 67, 1), (29, 66, 1)],
)
def test_convolution(depth: int, filters: int, side: int) -> None:
    x, weights = normal(1, 1, depth, side, side), normal(2, filters, depth, 1, 1)
    expected = theirs("Conv", {"x": x}, {"w": weights})
    found = mlas.convolve(x.reshape(depth, -1).T, np.ascontiguousarray(weights.reshape(filters, depth).T))
    np.testing.assert_array_equal(found.T.reshape(expected.shape), expected)


@pytest.mark.parametrize("length", [2, 7, 8, 9, 16, 17, 24, 25, 33, 49, 100, 1000])
def test_softmax(length: int) -> None:
    x = 3 * normal(length, 50, length)
    np.testing.assert_array_equal(mlas.softmax(x), theirs("Softmax", {"x": x}, {}, axis=-1))


def test_logistic_and_tanh() -> None:
    x = 6 * normal(5, 10003)
    np.testing.assert_array_equal(mlas.logistic(x), theirs("Sigmoid", {"x": x}, {}))
    np.testing.assert_array_equal(mlas.tanh(x), theirs("Tanh", {"x": x}, {}))


@pytest.mark.parametrize("opset", [17, 19])
@pytest.mark.parametrize(
    ("size", "kernel", "strides", "pads"),
    [
        ((8, 8), (8, 8), (8, 8), (0, 0, 0, 0)),
        ((8, 8), (8, 8), (1, 1), (0, 0, 0, 0)),
        ((7, 5), (7, 5), (1, 1), (0, 0, 0, 0)),
        ((8, 8), (8, 8), (1, 2), (0, 0, 0, 0)),
        ((8, 8), (8, 8), (1, 1), (1, 1, 1, 1)),
        ((12, 12), (3, 3), (1, 1), (1, 0, 0, 1)),
        ((12, 12), (5, 5), (3, 2), (0, 0, 0, 0)),
        ((12, 12), (5, 5), (2, 3), (1, 1, 1, 1)),
        ((3, 2045), (3, 3), (1, 1), (0, 0, 0, 0)),
        ((3, 2046), (3, 3), (1, 1), (0, 0, 0, 0)),
        ((1, 13), (1, 13), (1, 1), (0, 0, 0, 0)),
    ],
)
def test_average_pools(
    opset: int, size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, ...]
) -> None:
    feeds = {"x": normal(1, 1, 30 if size[1] < 100 else 3, *size)}
    window: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    file = network("AveragePool", feeds, {}, opset, **window)
    np.testing.assert_array_equal(ours(file, feeds), executed(file, feeds))


@pytest.mark.parametrize("length", [3, 13, 20])
@pytest.mark.parametrize("kernel", [3, 13])
def test_average_pools_of_one_dimension(length: int, kernel: int) -> None:
    feeds = {"x": normal(1, 1, 30, max(length, kernel))}
    file = network("AveragePool", feeds, {}, kernel_shape=[kernel], strides=[1])
    np.testing.assert_array_equal(ours(file, feeds), executed(file, feeds))


@pytest.mark.parametrize("opset", [17, 22])
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 3), (25, 5)])
def test_global_averages(opset: int, size: tuple[int, int]) -> None:
    feeds = {"x": normal(1, 2, 30, *size)}
    file = network("GlobalAveragePool", feeds, {}, opset)
    np.testing.assert_array_equal(ours(file, feeds), executed(file, feeds))


@pytest.mark.parametrize("seed", range(4))
def test_quantized_global_averages(seed: int) -> None:
    """DequantizeLinear, GlobalAveragePool, QuantizeLinear: the sum is one of floats, and many lie at ties."""
    helper = onnx.helper
    feeds = {"x": np.random.default_rng(seed).integers(-128, 127, (1, 200, 4, 4), np.int8, endpoint=True)}
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["real"]),
        helper.make_node("GlobalAveragePool", ["real"], ["mean"]),
        helper.make_node("QuantizeLinear", ["mean", "t", "z"], ["y"]),
    ]
    constants = {"s": np.float32(0.07), "t": np.float32(0.035), "z": np.array(3, np.int8)}
    whole = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", 3, (1, 200, 4, 4))],
        [helper.make_tensor_value_info("y", 3, None)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    file = bytes(model.SerializeToString())
    np.testing.assert_array_equal(ours(file, feeds), executed(file, feeds))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel", "strides", "pads"),
    [
        ((8, 8), (8, 8), (8, 8), (0, 0, 0, 0)),
        ((8, 8), (8, 8), (1, 1), (0, 0, 0, 0)),
        ((8, 8), (8, 8), (1, 1), (1, 1, 1, 1)),
        ((12, 9), (4, 4), (2, 2), (0, 0, 0, 0)),
        ((12, 9), (2, 2), (1, 1), (1, 0, 0, 1)),
    ],
)
def test_integer_average_pools(
    signed: bool, size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, ...]
) -> None:
    dtype = np.int8 if signed else np.uint8
    info = np.iinfo(dtype)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        feeds = {"x": rng.integers(info.min, info.max, (1, 60, *size), dtype, endpoint=True)}
        zeros = [np.array(zero, dtype) for zero in rng.integers(info.min, info.max, 2, endpoint=True)]
        scales = [np.float32(rng.choice([0.03, 0.05, 0.1])), np.float32(rng.choice([0.0125, 0.025, 0.1]))]
        constants = {"s": scales[0], "z": zeros[0], "t": scales[1], "o": zeros[1]}
        window: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        file = network("QLinearAveragePool", feeds, constants, 13, "com.microsoft", **window)
        np.testing.assert_array_equal(ours(file, feeds), executed(file, feeds))
