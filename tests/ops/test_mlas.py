"""Float products and functions against ONNX Runtime's, bit for bit: every way of adding, every remainder of a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcuprof.ops import mlas

runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")


def theirs(kind: str, feeds: dict[str, Any], constants: dict[str, Any], **attributes: Any) -> Any:
    """The output of one operator whose inputs are `feeds`, then `constants`, run without any optimisation."""
    helper = onnx.helper
    node = helper.make_node(kind, [*feeds, *constants], ["y"], **attributes)
    inputs = [helper.make_tensor_value_info(name, 1, value.shape) for name, value in feeds.items()]
    stored = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    network = helper.make_graph([node], "one", inputs, [helper.make_tensor_value_info("y", 1, None)], stored)
    file = helper.make_model(network, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(file.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


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
