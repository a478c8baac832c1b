"""Which kernel runs, and how often its loops do: conditions of CMSIS-NN's wrappers, and brute-force counting."""

from __future__ import annotations

import pytest

from mcuprof.costs.features import features
from mcuprof.costs.kernels import Simd, kernel_class
from mcuprof.graph import DType, Graph
from mcuprof.graph.graph import Attribute
from tests.costs.networks import convolution, dense, one_op, tensor


def kernel(graph: Graph, kernels: str = "cmsis-nn", simd: Simd = "dsp") -> str:
    return kernel_class(graph, graph.ops[0], kernels, simd)


def depthwise(multiplier: int, channels: int, size: tuple[int, int], **attributes: Attribute) -> Graph:
    weights = tensor((1, *size, channels * multiplier), constant=True)
    out = tensor((1, 8, 8, channels * multiplier))
    inputs = [tensor((1, 8, 8, channels)), weights]
    return one_op("DEPTHWISE_CONV_2D", inputs, out, padding="SAME", multiplier=multiplier, **attributes)


def test_convolution_paths() -> None:
    assert kernel(convolution(8, 8, 16, 8, (1, 1))) == "conv_s8:1x1"
    assert kernel(convolution(8, 8, 16, 8, (1, 1), stride_h=2, stride_w=2)) == "conv_s8:1x1-strided"
    assert kernel(convolution(8, 8, 16, 8, (3, 3))) == "conv_s8:kxk"
    row = convolution(1, 32, 16, 8, (1, 5))
    assert kernel(row, simd="dsp") == "conv_s8:kxk"
    assert kernel(row, simd="mve") == "conv_s8:1xn"
    assert kernel(convolution(8, 8, 16, 8, (3, 3)), "reference") == "conv_s8"


@pytest.mark.parametrize(
    ("simd", "size", "multiplier", "channels", "expected"),
    [
        ("dsp", (3, 3), 1, 16, "3x3"),
        ("none", (3, 3), 1, 16, "3x3"),
        ("mve", (3, 3), 1, 16, "opt"),
        ("dsp", (5, 5), 1, 16, "opt"),
        ("none", (5, 5), 1, 16, "generic"),
        ("dsp", (3, 3), 8, 1, "mult4"),
        ("mve", (3, 3), 8, 1, "as-conv"),
        ("dsp", (3, 3), 2, 4, "generic"),
    ],
)
def test_depthwise_paths(simd: Simd, size: tuple[int, int], multiplier: int, channels: int, expected: str) -> None:
    assert kernel(depthwise(multiplier, channels, size), simd=simd) == f"dwconv_s8:{expected}"


def test_dilation_leaves_the_fast_depthwise_paths() -> None:
    graph = depthwise(1, 16, (3, 3), dilation_h=2, dilation_w=2)
    assert kernel(graph) == "dwconv_s8:generic"


def test_types_are_part_of_the_class() -> None:
    assert kernel(dense(8, 4)) == "fc_s8"
    assert kernel(dense(8, 4, DType.FLOAT32)) == "fc_f32"
    same, row = tensor((1, 4, 4, 8)), tensor((1, 1, 1, 8))
    assert kernel(one_op("ADD", [same, same], same)) == "add_s8"
    assert kernel(one_op("ADD", [same, row], same)) == "add_s8:broadcast"
    to_float = one_op("DEQUANTIZE", [same], tensor((1, 4, 4, 8), DType.FLOAT32))
    assert kernel(to_float) == "dequantize_s8_f32"


def test_dense_layer_with_more_than_two_dimensions_runs_as_convolution() -> None:
    weights = tensor((4, 8), constant=True)
    graph = one_op("FULLY_CONNECTED", [tensor((1, 6, 8)), weights], tensor((1, 6, 4)))
    assert kernel(graph) == "conv_s8:1x1"
    assert kernel(graph, "reference") == "fc_s8"
    assert features(graph, graph.ops[0], "conv_s8:1x1")["macs"] == 6 * 4 * 8


@pytest.mark.parametrize(("size", "window", "stride"), [((5, 7), (3, 3), 1), ((6, 4), (5, 2), 2), ((9, 9), (1, 4), 3)])
def test_loop_counts_by_walking_the_loops(size: tuple[int, int], window: tuple[int, int], stride: int) -> None:
    graph = convolution(*size, 3, 5, window, stride_h=stride, stride_w=stride)
    found = features(graph, graph.ops[0], "conv_s8:kxk")
    outputs = [-(-extent // stride) for extent in size]
    before = [
        max(0, (out - 1) * stride + taps - extent) // 2 for out, taps, extent in zip(outputs, window, size, strict=True)
    ]
    valid = clean = 0
    for y in range(outputs[0]):
        for x in range(outputs[1]):
            cells = [
                0 <= y * stride - before[0] + i < size[0] and 0 <= x * stride - before[1] + j < size[1]
                for i in range(window[0])
                for j in range(window[1])
            ]
            valid += sum(cells)
            clean += all(cells)
    assert found["valid_patch_cells"] == valid
    assert found["valid_taps"] == valid * 5
    assert found["valid_macs"] == valid * 5 * 3
    assert found["clean_pixels"] == clean
    assert found["macs"] == outputs[0] * outputs[1] * window[0] * window[1] * 3 * 5


def test_a_hostile_window_is_refused_at_once() -> None:
    out = tensor((1, 1, 1, 1))
    graph = one_op("MAX_POOL_2D", [tensor((1, 2**31 - 1, 4, 1))], out, filter_h=2**31 - 1, filter_w=1, stride_h=1)
    with pytest.raises(ValueError, match="window"):
        features(graph, graph.ops[0], "maxpool_s8")
    wide = one_op("MAX_POOL_2D", [tensor((1, 2**31, 4, 1))], tensor((1, 2**30, 4, 1)), filter_h=2, stride_h=2)
    assert features(wide, wide.ops[0], "maxpool_s8")["clean_pixels"] == 2**32
