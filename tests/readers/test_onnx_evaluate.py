"""Constant folding against onnx.reference, the specification in executable form."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from mcuprof.graph import DType
from tests.readers.onnx_build import build, node, read

A = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
F = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4)

CASES: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
    ("Add", [A, A[0]], {}),
    ("Sub", [F, F[:, :1]], {}),
    ("Mul", [A, A], {}),
    ("Div", [A - 12, np.int64(5)], {}),
    ("Div", [F, np.float32(3)], {}),
    ("Mod", [A - 12, np.int64(5)], {}),
    ("Pow", [F, np.float32(2)], {}),
    ("Neg", [A], {}),
    ("Abs", [F], {}),
    ("Sqrt", [np.abs(F)], {}),
    ("Floor", [F], {}),
    ("Ceil", [F], {}),
    ("Equal", [A, A.max(0)], {}),
    ("Greater", [A, np.int64(7)], {}),
    ("Less", [A, np.int64(7)], {}),
    ("Not", [A > 3], {}),
    ("And", [A > 3, A < 9], {}),
    ("Or", [A < 3, A > 9], {}),
    ("Where", [A > 3, A, np.int64(-1)], {}),
    ("Max", [A, A[::-1], np.int64(9)], {}),
    ("Min", [F, F[::-1]], {}),
    ("Cast", [F], {"to": TensorProto.INT32}),
    ("Concat", [A, A], {"axis": -2}),
    ("Gather", [A, np.array([1, -1])], {"axis": 1}),
    ("Slice", [A, np.array([-1, 3]), np.array([-100, 0]), np.array([1, 2]), np.array([-1, -2])], {}),
    ("Split", [A, np.array([1, 2])], {"axis": 1}),
    ("Squeeze", [A[:, :1], np.array([1])], {}),
    ("Unsqueeze", [A, np.array([0, -1])], {}),
    ("Reshape", [A, np.array([0, -1])], {}),
    ("Flatten", [A], {"axis": 2}),
    ("Transpose", [A], {"perm": [2, 0, 1]}),
    ("Transpose", [A], {}),
    ("Expand", [A[:, :1], np.array([1, 3, 1])], {}),
    ("Tile", [A, np.array([1, 2, 1])], {}),
    ("Range", [np.int64(2), np.int64(11), np.int64(3)], {}),
    ("ConstantOfShape", [np.array([2, 3])], {}),
    ("Shape", [A], {}),
    ("Shape", [A], {"start": -2}),
    ("Size", [A], {}),
    ("ReduceProd", [A], {"axes": [1], "keepdims": 0}),
    ("ReduceMax", [A], {"axes": [-1]}),
    ("ReduceMin", [A], {}),
    ("ReduceSum", [A, np.array([0, 2])], {"keepdims": 0}),
    ("QuantizeLinear", [F, np.float32(0.5), np.uint8(3)], {}),
    ("QuantizeLinear", [F, np.array([0.1, 0.5, 1], np.float32), np.array([1, 0, -1], np.int8)], {"axis": 1}),
]


@pytest.mark.parametrize(("op", "arrays", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_folds_as_the_specification_says(op: str, arrays: list[np.ndarray], attributes: dict[str, Any]) -> None:
    names = [f"c{index}" for index in range(len(arrays))]
    outputs = "y z" if op == "Split" else "y"
    data = build(
        [node(op, " ".join(names), outputs, **attributes), node("Identity", "x", "out")],
        {"x": (TensorProto.FLOAT, [1])},
        ["out", *outputs.split()],
        dict(zip(names, arrays, strict=True)),
    )
    results: Any = ReferenceEvaluator(onnx.ModelProto.FromString(data)).run(None, {"x": np.zeros(1, np.float32)})
    expected = list(results)[1:]
    graph = read(data)
    assert [made.kind for made in graph.ops] == ["Identity"]
    for index, wanted in zip(graph.outputs[1:], expected, strict=True):
        found = graph.tensors[index].array()
        assert found.dtype == np.asarray(wanted).dtype and found.shape == np.shape(wanted)
        assert np.array_equal(found, wanted)


def test_what_would_grow_is_not_folded() -> None:
    nodes = [node("ConstantOfShape", "shape", "big"), node("Add", "big x", "y")]
    graph = read(build(nodes, {"x": (TensorProto.FLOAT, [1])}, ["y"], {"shape": np.array([1024, 1024])}))
    assert [op.kind for op in graph.ops] == ["ConstantOfShape", "ADD"]
    assert graph.tensors[graph.outputs[0]].shape == (1024, 1024)


def test_constants_in_bfloat16_are_widened_and_else_left_alone() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    halves = np.array([1.0, -3.140625, 3e38], ml_dtypes.bfloat16)
    nodes = [
        node("Cast", "c", "wide", to=TensorProto.FLOAT),
        node("Add", "x wide", "y"),
        node("Neg", "c", "less"),
        node("Cast", "x", "narrow", to=TensorProto.BFLOAT16),
        node("Add", "narrow less", "z"),
    ]
    graph = read(build(nodes, {"x": (TensorProto.FLOAT, [3])}, ["y", "z"], {"c": halves}))
    assert sorted(op.kind for op in graph.ops) == ["ADD", "ADD", "CAST", "NEG"]
    (wide,) = (tensor for tensor in graph.tensors if tensor.name == "wide")
    assert wide.dtype is DType.FLOAT32 and np.array_equal(wide.array(), halves.astype(np.float32))
    (given,) = (tensor for tensor in graph.tensors if tensor.name == "c")
    assert given.dtype is DType.BFLOAT16 and given.nbytes == 6
