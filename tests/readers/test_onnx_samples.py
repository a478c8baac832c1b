"""The samples exist as TFLite and as ONNX in both styles: the same network must come out of both readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcuprof.graph import Graph, Op
from mcuprof.readers import read

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
NAMES = sorted(
    path.stem.removesuffix("_int8")
    for path in SAMPLES.glob("*_int8.tflite")
    if path.with_name(path.name.replace("_int8.tflite", "_qdq.onnx")).is_file()
)
PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def inner(graph: Graph) -> list[Op]:
    return [op for op in graph.ops if op.kind not in ("QUANTIZE", "DEQUANTIZE")]


def test_there_are_samples() -> None:
    assert NAMES


@pytest.mark.parametrize("style", ["qdq", "qop"])
@pytest.mark.parametrize("name", NAMES)
def test_same_network_as_tflite(name: str, style: str) -> None:
    tflite, onnx = read(SAMPLES / f"{name}_int8.tflite"), read(SAMPLES / f"{name}_{style}.onnx")
    assert [op.kind for op in inner(onnx)] == [op.kind for op in inner(tflite)]
    for mine, theirs in zip(inner(onnx), inner(tflite), strict=True):
        y, z = onnx.output(mine), tflite.output(theirs)
        assert y.dtype is z.dtype and y.elements == z.elements, mine
        assert y.quantization and z.quantization
        assert y.quantization.scale == pytest.approx(z.quantization.scale, rel=1e-6)
        assert y.quantization.zero_point == z.quantization.zero_point
        if mine.kind in PRODUCTS:
            _same_weights(onnx, mine, tflite, theirs)


def _same_weights(onnx: Graph, mine: Op, tflite: Graph, theirs: Op) -> None:
    """OIHW against OHWI, [C, 1, h, w] against [1, h, w, C], [in, out] against [out, in]; int32 biases bit by bit."""
    ours, other = onnx.input(mine, 1).array(), tflite.input(theirs, 1).array()
    if mine.kind == "CONV_2D":
        ours = ours.transpose(0, 2, 3, 1)
    elif mine.kind == "DEPTHWISE_CONV_2D":
        ours = ours.transpose(1, 2, 3, 0)
    elif mine.integer("transposed"):
        ours = ours.T
    assert ours.shape == other.shape and np.array_equal(ours.size, other.size)
    if mine.kind != "FULLY_CONNECTED":  # behind a flattening the order of the inputs differs with the layout
        assert np.array_equal(ours, other)
    assert np.array_equal(np.sort(ours, axis=None), np.sort(other, axis=None))
    assert np.array_equal(onnx.input(mine, 2).array(), tflite.input(theirs, 2).array())
