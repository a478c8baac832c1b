"""Each fusion rule on a network small enough to know the answer: structure, types, and the numbers written into it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from mcuprof.graph import DType, Graph, Op, Quantization
from tests.readers.onnx_build import Qdq, build, kinds, node, read

FLOAT = TensorProto.FLOAT
rng = np.random.default_rng(0)


def integers(*shape: int) -> np.ndarray:
    return rng.integers(-127, 128, shape).astype(np.int8)


def only(graph: Graph, kind: str) -> Op:
    found = [op for op in graph.ops if op.kind == kind]
    assert len(found) == 1, kinds(graph)
    return found[0]


def quantized_conv(weights: np.ndarray, groups: int, channels: int, activation: str = "") -> Graph:
    net = Qdq()
    scales = np.linspace(0.01, 0.02, len(weights))
    w = net.weights("w", weights, scales, axis=0)
    b = net.weights("b", np.arange(len(weights), dtype=np.int32), 0.5 * scales, axis=0)
    x = net.pair("x", 0.5, -3)
    y = net.add("Conv", f"{x} {w} {b}", "c", pads=[1, 1, 1, 1], strides=[2, 1], group=groups)
    if activation:
        y = net.add(activation, y, "a")
    return net.read([1, channels, 8, 8], [net.pair(y, 0.25, 7)])


def test_quantized_convolution_is_one_integer_operator() -> None:
    weights = integers(4, 3, 3, 3)
    graph = quantized_conv(weights, 1, 3)
    assert kinds(graph) == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]
    op = graph.ops[1]
    x, w, b, y = graph.input(op, 0), graph.input(op, 1), graph.input(op, 2), graph.output(op)
    assert (x.dtype, w.dtype, b.dtype, y.dtype) == (DType.INT8, DType.INT8, DType.INT32, DType.INT8)
    assert x.quantization == Quantization((0.5,), (-3,)) and y.quantization == Quantization((0.25,), (7,))
    assert w.quantization is not None and w.quantization.axis == 0
    assert w.quantization.scale == pytest.approx(np.linspace(0.01, 0.02, 4))
    assert np.array_equal(w.array(), weights) and b.array().tolist() == [0, 1, 2, 3]
    assert y.shape == (1, 4, 4, 8) and op.text("layout") == "NCHW" and op.source == "Conv"
    assert (op.integer("stride_h"), op.integer("stride_w"), op.integer("groups")) == (2, 1, 1)
    assert op.text("padding") == "EXPLICIT" and op.integers("pads") == (1, 1, 1, 1)


@pytest.mark.parametrize(("out", "multiplier"), [(3, 1), (6, 2)])
def test_one_group_per_channel_is_depthwise(out: int, multiplier: int) -> None:
    op = quantized_conv(integers(out, 1, 3, 3), 3, 3).ops[1]
    assert op.kind == "DEPTHWISE_CONV_2D" and op.integer("multiplier") == multiplier


def test_relu_between_operator_and_quantization_is_its_activation() -> None:
    graph = quantized_conv(integers(4, 3, 3, 3), 1, 3, "Relu")
    assert kinds(graph) == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]
    assert graph.ops[1].text("activation") == "RELU"


@pytest.mark.parametrize(
    ("low", "high", "activation"),
    [
        (0.0, 6.0, "RELU6"),
        (-1.0, 1.0, "RELU_N1_TO_1"),
        (0.0, np.inf, "RELU"),
        (0.0, 200.0, "RELU"),
        (-90.0, 90.0, "NONE"),
    ],
)
def test_clip_is_fused_only_where_it_means_the_same(low: float, high: float, activation: str) -> None:
    """int8 at scale 0.5 and zero point 0 spans −64 … 63.5: bounds outside of it are implied."""
    net = Qdq()
    net.constants |= {"low": np.float32(low), "high": np.float32(high)}
    x, w = net.pair("x", 0.5, 0), net.weights("w", integers(2, 2, 1, 1), 0.01)
    net.add("Conv", f"{x} {w}", "c")
    net.add("Clip", "c low high", "a")
    graph = net.read([1, 2, 4, 4], [net.pair("a", 0.5, 0)])
    assert kinds(graph) == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]
    assert graph.ops[1].text("activation", "NONE") == activation


def test_other_clips_stay_operators() -> None:
    net = Qdq()
    net.constants |= {"low": np.float32(0), "high": np.float32(3)}
    x, w = net.pair("x", 0.5, 0), net.weights("w", integers(2, 2, 1, 1), 0.01)
    net.pair(net.add("Conv", f"{x} {w}", "c"), 0.5, 0)
    net.add("Clip", "c_d low high", "a")
    graph = net.read([1, 2, 4, 4], [net.pair("a", 0.5, 0)])
    assert kinds(graph) == ["QUANTIZE", "CONV_2D", "Clip", "DEQUANTIZE"]
    clip = graph.ops[2]
    assert (clip.number("min"), clip.number("max"), graph.output(clip).dtype) == (0.0, 3.0, DType.INT8)


def test_relu_with_its_own_quantization_is_an_integer_operator() -> None:
    net = Qdq()
    x, w = net.pair("x", 0.5, 0), net.weights("w", integers(2, 2, 1, 1), 0.01)
    net.pair(net.add("Conv", f"{x} {w}", "c"), 0.5, 0)
    net.pair(net.add("Relu", "c_d", "a"), 0.25, -128)
    graph = net.read([1, 2, 4, 4], ["a_d"])
    assert kinds(graph) == ["QUANTIZE", "CONV_2D", "RELU", "DEQUANTIZE"]
    assert graph.input(graph.ops[2]).quantization == Quantization((0.5,), (0,))
    assert graph.output(graph.ops[2]).quantization == Quantization((0.25,), (-128,))


def test_float_bias_becomes_int32_with_the_scale_of_input_times_weights() -> None:
    net = Qdq()
    net.constants["b"] = np.array([1.0, -2.0], np.float32)
    x, w = net.pair("x", 0.5, 0), net.weights("w", integers(2, 2, 1, 1), [0.01, 0.02], axis=0)
    net.add("Conv", f"{x} {w} b", "c")
    graph = net.read([1, 2, 4, 4], [net.pair("c", 0.5, 0)])
    bias = graph.input(only(graph, "CONV_2D"), 2)
    assert bias.dtype is DType.INT32 and bias.array().tolist() == [200, -200]
    assert bias.quantization is not None and bias.quantization.scale == pytest.approx((0.005, 0.01))
    assert any("int32" in note for note in graph.origin.notes)


def test_shared_bias_is_rescaled_where_its_scale_is_not_the_product() -> None:
    """ONNX Runtime's quantizer stores a shared bias once, with the scale of one of its convolutions."""
    net = Qdq()
    x, w = net.pair("x", 0.5, 0), net.weights("w", integers(2, 2, 1, 1), 0.01)
    b = net.weights("b", np.array([10, -20], np.int32), 0.001)
    net.add("Conv", f"{x} {w} {b}", "c")
    graph = net.read([1, 2, 4, 4], [net.pair("c", 0.5, 0)])
    assert graph.input(only(graph, "CONV_2D"), 2).array().tolist() == [2, -4]  # 0.01 / (0.5 · 0.01), and so on


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_is_fully_connected(transposed: int) -> None:
    net = Qdq()
    weights = integers(5, 6) if transposed else integers(6, 5)
    w = net.weights("w", weights, np.full(5, 0.01), axis=0 if transposed else 1)
    b = net.weights("b", np.zeros(5, np.int32), np.full(5, 0.005), axis=0)
    net.add("Gemm", f"{net.pair('x', 0.5, 0)} {w} {b}", "c", transB=transposed)
    graph = net.read([1, 6], [net.pair("c", 0.5, 0)])
    op = only(graph, "FULLY_CONNECTED")
    assert bool(op.integer("transposed")) is not bool(transposed)
    assert graph.output(op).shape == (1, 5) and np.array_equal(graph.input(op, 1).array(), weights)


def test_matmul_and_its_bias_are_fully_connected() -> None:
    net = Qdq()
    net.constants["b"] = np.ones((1, 5), np.float32)
    w = net.weights("w", integers(6, 5), 0.01)
    net.add("MatMul", f"{net.pair('x', 0.5, 0)} {w}", "m")
    net.add("Add", "m b", "c")
    graph = net.read([1, 6], [net.pair("c", 0.5, 0)])
    assert kinds(graph) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert graph.input(graph.ops[1], 2).array().tolist() == [200] * 5


def test_weights_that_are_transposed_on_the_way() -> None:
    net = Qdq()
    weights = integers(5, 6)
    w = net.weights("w", weights, np.linspace(1, 2, 5), axis=0)
    net.add("Transpose", w, "t", perm=[1, 0])
    net.add("MatMul", f"{net.pair('x', 0.5, 0)} t", "m")
    graph = net.read([1, 6], [net.pair("m", 0.5, 0)])
    tensor = graph.input(only(graph, "FULLY_CONNECTED"), 1)
    assert np.array_equal(tensor.array(), weights.T) and tensor.quantization is not None
    assert tensor.quantization.axis == 1 and tensor.quantization.scale == pytest.approx(np.linspace(1, 2, 5))


def test_float_weights_quantized_in_the_graph_are_folded() -> None:
    """Rounds half to even (0.5 → 0, 1.5 → 2) and saturates, as the specification of QuantizeLinear says."""
    net = Qdq()
    net.constants["w"] = np.array([[[[0.5]], [[1.5]]], [[[-2.5]], [[500.0]]]], np.float32)
    w, x = net.pair("w", 1.0, 0), net.pair("x", 0.5, 0)
    net.add("Conv", f"{x} {w}", "c")
    graph = net.read([1, 2, 4, 4], [net.pair("c", 0.5, 0)])
    assert graph.input(only(graph, "CONV_2D"), 1).array().reshape(-1).tolist() == [0, 2, -2, 127]


def test_activations_times_activations() -> None:
    net = Qdq()
    x = net.pair("x", 0.5, 0)
    net.add("Transpose", x, "t", perm=[0, 2, 1])
    net.add("MatMul", f"{x} t", "m")
    graph = net.read([2, 3, 4], [net.pair("m", 0.5, 0)])
    assert kinds(graph) == ["QUANTIZE", "TRANSPOSE", "BATCH_MATMUL", "DEQUANTIZE"]
    assert graph.output(graph.ops[2]).shape == (2, 3, 3) and graph.output(graph.ops[1]).dtype is DType.INT8


@pytest.mark.parametrize(("op", "kind"), [("Add", "ADD"), ("Mul", "MUL"), ("Sub", "SUB"), ("Max", "MAXIMUM")])
def test_two_quantized_operands(op: str, kind: str) -> None:
    net = Qdq()
    x, w = net.pair("x", 0.5, 0), net.weights("w", integers(4), 0.125, 0)
    net.add(op, f"{x} {w}", "c")
    graph = net.read([1, 4], [net.pair("c", 0.25, 1)])
    assert kinds(graph) == ["QUANTIZE", kind, "DEQUANTIZE"]
    assert graph.input(graph.ops[1], 1).quantization == Quantization((0.125,), (0,))


@pytest.mark.parametrize(
    ("op", "attributes", "kind", "shape"),
    [
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, "AVERAGE_POOL_2D", (1, 2, 2, 4)),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, "MAX_POOL_2D", (1, 2, 2, 4)),
        ("GlobalAveragePool", {}, "MEAN", (1, 2, 1, 1)),
        ("Sigmoid", {}, "LOGISTIC", (1, 2, 4, 8)),
        ("Softmax", {"axis": -1}, "SOFTMAX", (1, 2, 4, 8)),
        ("LeakyRelu", {"alpha": 0.1}, "LEAKY_RELU", (1, 2, 4, 8)),
        ("Transpose", {"perm": [0, 2, 3, 1]}, "TRANSPOSE", (1, 4, 8, 2)),
        ("Flatten", {}, "RESHAPE", (1, 64)),
        ("DepthToSpace", {"blocksize": 1}, "DEPTH_TO_SPACE", (1, 2, 4, 8)),
    ],
)
def test_operators_of_one_tensor(op: str, attributes: dict[str, object], kind: str, shape: tuple[int, ...]) -> None:
    net = Qdq()
    net.add(op, net.pair("x", 0.5, 3), "c", **attributes)
    graph = net.read([1, 2, 4, 8], [net.pair("c", 0.5, 3)])
    assert kinds(graph) == ["QUANTIZE", kind, "DEQUANTIZE"]
    made = graph.output(graph.ops[1])
    assert made.shape == shape and made.dtype is DType.INT8 and made.quantization == Quantization((0.5,), (3,))


def test_concatenation_of_different_scales() -> None:
    net = Qdq()
    x, w = net.pair("x", 0.5, 0), net.weights("w", integers(1, 2), 0.125, 0)
    net.add("Concat", f"{x} {w}", "c", axis=-1)
    graph = net.read([1, 4], [net.pair("c", 0.25, 1)])
    op = only(graph, "CONCATENATION")
    assert op.integer("axis") == 1 and graph.output(op).shape == (1, 6)
    assert [graph.input(op, index).quantization for index in (0, 1)] == [
        Quantization((0.5,), (0,)),
        Quantization((0.125,), (0,)),
    ]


def test_movement_without_its_own_quantization_works_on_integers() -> None:
    net = Qdq()
    net.add("Flatten", net.pair("x", 0.5, 3), "f")
    w = net.weights("w", integers(8, 3), 0.01)
    net.add("MatMul", f"f {w}", "m")
    graph = net.read([1, 2, 4], [net.pair("m", 0.5, 0)])
    assert kinds(graph) == ["QUANTIZE", "RESHAPE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert graph.input(graph.ops[2]).quantization == Quantization((0.5,), (3,))


def test_movement_that_changes_the_scale_is_followed_by_a_requantization() -> None:
    net = Qdq()
    net.add("Flatten", net.pair("x", 0.5, 3), "f")
    graph = net.read([1, 2, 4], [net.pair("f", 0.25, 0)])
    assert kinds(graph) == ["QUANTIZE", "RESHAPE", "QUANTIZE", "DEQUANTIZE"]
    assert graph.input(graph.ops[2]).dtype is graph.output(graph.ops[2]).dtype is DType.INT8


def test_padding_writes_the_zero_point() -> None:
    net = Qdq()
    net.constants |= {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "value": np.float32(2)}
    net.add("Pad", f"{net.pair('x', 0.5, 3)} pads", "p")
    net.pair("p", 0.5, 3)
    net.add("Pad", "p_d pads value", "v")
    graph = net.read([1, 2, 4, 4], [net.pair("v", 0.5, 3)])
    assert kinds(graph) == ["QUANTIZE", "PAD", "PADV2", "DEQUANTIZE"]
    assert graph.input(graph.ops[1], 1).array().tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]
    assert graph.input(graph.ops[2], 2).array().item() == 2 / 0.5 + 3
    assert graph.output(graph.ops[2]).shape == (1, 2, 8, 8)


def test_weight_only_quantization_keeps_integer_weights() -> None:
    net = Qdq()
    w = net.weights("w", integers(4, 3, 3, 3), np.full(4, 0.01), axis=0)
    net.add("Conv", f"x {w}", "y")
    graph = net.read([1, 3, 8, 8], ["y"])
    assert kinds(graph) == ["CONV_2D"]
    x, weights = graph.input(graph.ops[0], 0), graph.input(graph.ops[0], 1)
    assert x.dtype is DType.FLOAT32 and weights.dtype is DType.INT8 and weights.quantization is not None


def test_float_islands_stay_visible() -> None:
    net = Qdq()
    net.add("Erf", net.pair("x", 0.5, 3), "e")
    graph = net.read([1, 4], [net.pair("e", 0.5, 3)])
    assert kinds(graph) == ["QUANTIZE", "DEQUANTIZE", "Erf", "QUANTIZE", "DEQUANTIZE"]


def test_a_float_reader_of_the_result_forbids_the_fusion() -> None:
    net = Qdq()
    x, w = net.pair("x", 0.5, 0), net.weights("w", integers(2, 2, 1, 1), 0.01)
    net.add("Conv", f"{x} {w}", "c")
    net.add("Erf", "c", "e")
    graph = net.read([1, 2, 4, 4], [net.pair("c", 0.5, 0), "e"])
    assert graph.output(only(graph, "CONV_2D")).dtype is DType.FLOAT32


def test_one_constant_with_two_scales_becomes_two_tensors() -> None:
    net = Qdq()
    net.constants |= {"k": integers(4), "s1": np.float32(0.1), "s2": np.float32(0.2), "z": np.int8(0)}
    net.nodes += [node("DequantizeLinear", "k s1 z", "k1"), node("DequantizeLinear", "k s2 z", "k2")]
    net.pair(net.add("Add", f"{net.pair('x', 0.5, 0)} k1", "a"), 0.5, 0)
    net.add("Add", "a_d k2", "b")
    graph = net.read([1, 4], [net.pair("b", 0.5, 0)])
    scales = [graph.input(op, 1).quantization for op in graph.ops if op.kind == "ADD"]
    assert [found.scale[0] for found in scales if found] == pytest.approx([0.1, 0.2])


def test_int16_activations_of_com_microsoft() -> None:
    net = Qdq()
    w = net.weights("w", integers(4, 3, 1, 1), 0.01)
    net.add("Conv", f"{net.pair('x', 0.5, 0, np.int16)} {w}", "c")
    net.pair("c", 0.25, 0, np.int16)
    for made in net.nodes:
        if made.op_type.endswith("quantizeLinear") or made.op_type == "QuantizeLinear":
            made.domain = "com.microsoft"
    graph = net.read([1, 3, 2, 2], ["c_d"])
    assert kinds(graph) == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]
    assert graph.input(graph.ops[1]).dtype is graph.output(graph.ops[1]).dtype is DType.INT16
    assert graph.ops[0].source == "com.microsoft::QuantizeLinear"


def test_int4_weights_stay_packed() -> None:
    values = np.array([[-8, 7], [1, -1], [0, 3]])
    packed = helper.make_tensor("w_q", TensorProto.INT4, [3, 2], values.reshape(-1))
    net = Qdq()
    net.nodes.append(node("DequantizeLinear", "w_q w_s", "w_d"))
    net.constants["w_s"] = np.float32(0.5)
    net.add("MatMul", f"{net.pair('x', 0.5, 0)} w_d", "m")
    net.pair("m", 0.5, 0)
    import onnx

    model = onnx.ModelProto.FromString(build(net.nodes, {"x": (FLOAT, [1, 3])}, ["m_d"], net.constants, 21))
    model.graph.initializer.append(packed)
    graph = read(model.SerializeToString())
    weights = graph.input(only(graph, "FULLY_CONNECTED"), 1)
    assert weights.dtype is DType.INT4 and weights.nbytes == 3 and np.array_equal(weights.array(), values)


# QOperator ------------------------------------------------------------------------------------------------------------


def qoperator(nodes: list[object], shape: list[int], **constants: np.ndarray) -> Graph:
    given = {"s": np.float32(0.5), "z": np.uint8(3), "t": np.float32(0.25), "u": np.uint8(7), **constants}
    return read(build(nodes, {"x": (TensorProto.UINT8, shape)}, ["y"], given))


def test_qlinear_conv() -> None:
    graph = qoperator(
        [node("QLinearConv", "x s z w ws wz t u b", "y", pads=[1, 1, 1, 1])],
        [1, 3, 8, 8],
        w=integers(4, 3, 3, 3),
        ws=np.array([1, 2, 3, 4], np.float32),
        wz=np.zeros(4, np.int8),
        b=np.arange(4, dtype=np.int32),
    )
    op = only(graph, "CONV_2D")
    assert op.source == "QLinearConv" and len(op.inputs) == 3
    assert graph.input(op).quantization == Quantization((0.5,), (3,))
    assert graph.input(op, 1).quantization == Quantization((1.0, 2.0, 3.0, 4.0), (0, 0, 0, 0))
    assert graph.input(op, 2).quantization == Quantization((0.5, 1.0, 1.5, 2.0), (0, 0, 0, 0))
    assert graph.output(op).quantization == Quantization((0.25,), (7,))
    assert graph.output(op).shape == (1, 4, 8, 8) and graph.output(op).dtype is DType.UINT8


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (node("QLinearMatMul", "x s z w ws wz t u", "y"), "FULLY_CONNECTED"),
        (node("QGemm", "x s z w ws wz - t u", "y", domain="com.microsoft"), "FULLY_CONNECTED"),
        (node("QLinearAdd", "x s z x s z t u", "y", domain="com.microsoft"), "ADD"),
        (node("QLinearMul", "x s z x s z t u", "y", domain="com.microsoft"), "MUL"),
        (node("QLinearConcat", "t u x s z x s z", "y", domain="com.microsoft", axis=1), "CONCATENATION"),
        (node("QLinearSigmoid", "x s z t u", "y", domain="com.microsoft"), "LOGISTIC"),
        (node("QLinearLeakyRelu", "x s z t u", "y", domain="com.microsoft", alpha=0.1), "LEAKY_RELU"),
        (node("QLinearSoftmax", "x s z t u", "y", domain="com.microsoft", axis=-1, opset=13), "SOFTMAX"),
    ],
)
def test_other_qoperators(made: object, kind: str) -> None:
    graph = qoperator([made], [2, 6], w=integers(6, 5), ws=np.float32(0.1), wz=np.int8(0))
    op = only(graph, kind)
    assert graph.input(op).quantization == Quantization((0.5,), (3,))
    assert graph.output(op).quantization == Quantization((0.25,), (7,))
    assert graph.output(op).dtype is DType.UINT8
    assert len(op.inputs) == (1 if kind in ("LOGISTIC", "LEAKY_RELU", "SOFTMAX") else 2)


@pytest.mark.parametrize(
    ("made", "kind", "shape"),
    [
        (
            node("QLinearAveragePool", "x s z t u", "y", domain="com.microsoft", kernel_shape=[2, 2]),
            "AVERAGE_POOL_2D",
            (1, 2, 3, 3),
        ),
        (
            node("QLinearGlobalAveragePool", "x s z t u", "y", domain="com.microsoft", channels_last=0),
            "MEAN",
            (1, 2, 1, 1),
        ),
    ],
)
def test_quantized_pools(made: object, kind: str, shape: tuple[int, ...]) -> None:
    graph = qoperator([made], [1, 2, 4, 4])
    assert graph.output(only(graph, kind)).shape == shape


def test_computed_scales_leave_the_tensors_without_quantization() -> None:
    inputs = {"x": (TensorProto.UINT8, [1, 3, 4, 4]), "s": (FLOAT, [])}
    constants = {"z": np.uint8(0), "w": integers(2, 3, 1, 1), "wz": np.int8(0)}
    graph = read(build([node("QLinearConv", "x s z w s wz s z", "y")], inputs, ["y"], constants))
    op = only(graph, "CONV_2D")
    assert graph.input(op).quantization is None and graph.inputs[1] in op.inputs
    assert graph.output(op).dtype is DType.UINT8 and "computes its scales" in graph.origin.notes[0]


def test_integer_operators_give_int32() -> None:
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("ConvInteger", "q w z", "c", pads=[1, 1, 1, 1]),
        node("Cast", "c", "f", to=FLOAT),
        node("Mul", "f s", "y"),
    ]
    graph = read(build(nodes, {"x": (FLOAT, [1, 3, 8, 8])}, ["y"], {"w": integers(4, 3, 3, 3)}))
    assert kinds(graph) == ["DynamicQuantizeLinear", "CONV_2D", "CAST", "MUL"]
    conv = graph.ops[1]
    assert (graph.input(conv).dtype, graph.output(conv).dtype) == (DType.UINT8, DType.INT32)
    assert graph.input(conv, 3).name == "z" and graph.tensor(conv, 2) is None


@pytest.mark.parametrize("made", ["DynamicQuantizeMatMul x w ws wz b", "MatMulIntegerToFloat q w s ws z wz b"])
def test_dynamic_matrix_products_are_float_with_integer_weights(made: str) -> None:
    op, inputs = made.split(" ", 1)
    nodes = [node("DynamicQuantizeLinear", "x", "q s z"), node(op, inputs, "y", domain="com.microsoft")]
    weights = {"w": integers(6, 5), "ws": np.full(5, 0.5, np.float32), "wz": np.zeros(5, np.int8)}
    graph = read(build(nodes, {"x": (FLOAT, [3, 6])}, ["y"], {**weights, "b": np.ones(5, np.float32)}))
    dense = only(graph, "FULLY_CONNECTED")
    assert graph.input(dense, 1).quantization == Quantization((0.5,) * 5, (0,) * 5, axis=1)
    assert graph.output(dense).dtype is DType.FLOAT32 and graph.output(dense).shape == (3, 5)
    assert graph.input(dense, 2).name == "b"


# Float graphs ---------------------------------------------------------------------------------------------------------


def test_batch_normalisation_is_folded_exactly() -> None:
    """On a 1x1 image a 1x1 convolution is a matrix product: both forms are computed by hand."""
    w, b = rng.normal(size=(4, 3, 1, 1)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    gamma, beta, mean = (rng.normal(size=4).astype(np.float32) for _ in range(3))
    variance = rng.uniform(0.5, 2, 4).astype(np.float32)
    nodes = [
        node("Conv", "x w b", "c"),
        node("BatchNormalization", "c gamma beta mean variance", "n", epsilon=1e-3),
        node("Relu", "n", "y"),
    ]
    constants = {"w": w, "b": b, "gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    graph = read(build(nodes, {"x": (FLOAT, [1, 3, 1, 1])}, ["y"], constants))
    assert kinds(graph) == ["CONV_2D"] and graph.ops[0].text("activation") == "RELU"
    assert any("folded" in note for note in graph.origin.notes)
    x = rng.normal(size=3)
    expected = gamma * (w[:, :, 0, 0] @ x + b - mean) / np.sqrt(variance + 1e-3) + beta
    folded = graph.input(graph.ops[0], 1).array()[:, :, 0, 0] @ x + graph.input(graph.ops[0], 2).array()
    assert folded == pytest.approx(expected, rel=1e-5)


def test_batch_normalisation_elsewhere_stays() -> None:
    constants = {name: np.ones(3, np.float32) for name in "abcd"}
    graph = read(build([node("BatchNormalization", "x a b c d", "y")], {"x": (FLOAT, [1, 3, 4, 4])}, ["y"], constants))
    assert kinds(graph) == ["BATCH_NORMALIZATION"]


def test_shared_results_are_not_fused() -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Add", "c r", "y")]
    graph = read(build(nodes, {"x": (FLOAT, [1, 2, 4, 4])}, ["y"], {"w": np.ones((2, 2, 1, 1), np.float32)}))
    assert kinds(graph) == ["CONV_2D", "RELU", "ADD"]


def test_one_dimensional_convolution_has_height_one() -> None:
    nodes = [node("Conv", "x w", "y", pads=[2, 1], strides=[3], dilations=[2])]
    graph = read(build(nodes, {"x": (FLOAT, [1, 2, 20])}, ["y"], {"w": np.ones((4, 2, 3), np.float32)}))
    op = graph.ops[0]
    assert [op.integer(f"{what}_{axis}") for what in ("stride", "dilation") for axis in "hw"] == [1, 3, 1, 2]
    assert op.integers("pads") == (0, 2, 0, 1) and graph.output(op).shape == (1, 4, 7)


@pytest.mark.parametrize(("auto_pad", "pads"), [("SAME_UPPER", None), ("SAME_LOWER", (1, 1, 0, 0)), ("VALID", None)])
def test_automatic_padding(auto_pad: str, pads: tuple[int, ...] | None) -> None:
    """3x3 over 8x8 at stride 2 needs one cell per axis: SAME_LOWER puts it in front."""
    nodes = [node("Conv", "x w", "y", auto_pad=auto_pad, strides=[2, 2])]
    op = read(build(nodes, {"x": (FLOAT, [1, 1, 8, 8])}, ["y"], {"w": np.ones((2, 1, 3, 3), np.float32)})).ops[0]
    assert op.text("padding") == {"SAME_UPPER": "SAME", "SAME_LOWER": "EXPLICIT", "VALID": "VALID"}[auto_pad]
    assert op.attributes.get("pads") == pads


def test_slices_become_strided_slices() -> None:
    constants = {
        "starts": np.array([-1, 1]),
        "ends": np.array([-(2**63), 100]),
        "axes": np.array([1, 2]),
        "steps": np.array([-2, 3]),
    }
    graph = read(build([node("Slice", "x starts ends axes steps", "y")], {"x": (FLOAT, [1, 6, 9])}, ["y"], constants))
    op = only(graph, "STRIDED_SLICE")
    begin, end, strides = (graph.input(op, index).array().tolist() for index in (1, 2, 3))
    assert (begin, strides, end[2], op.integer("end_mask")) == ([0, 5, 1], [1, -2, 3], 9, 2)
    assert graph.output(op).shape == np.zeros((1, 6, 9))[:, -1::-2, 1:100:3].shape


def test_shape_arithmetic_disappears() -> None:
    """The flattening that PyTorch exports: Shape, Gather, Unsqueeze, Concat, Reshape."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "batch", axis=0),
        node("Unsqueeze", "batch axes", "first"),
        node("Concat", "first rest", "target", axis=0),
        node("Reshape", "x target", "y"),
    ]
    constants = {"zero": np.int64(0), "axes": np.array([0]), "rest": np.array([-1])}
    graph = read(build(nodes, {"x": (FLOAT, ["batch", 3, 4])}, ["y"], constants))
    assert kinds(graph) == ["RESHAPE"] and graph.ops[0].integers("new_shape") == (1, 12)
    assert [tensor.name for tensor in graph.tensors] == ["x", "y"]
    assert graph.origin.notes == ("input 'x' has an open batch size, read as 1",)
