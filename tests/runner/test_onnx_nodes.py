"""The standard's own tests of its integer operators: inputs and expected outputs as the onnx package gives them."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from mcuprof.errors import ModelError
from mcuprof.ops.kernel import storage
from mcuprof.readers.onnx import read_onnx
from mcuprof.runner.program import evaluate, prepare
from tests.corpus import models, needs_shared

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

OPERATORS = (
    *("quantizelinear", "dequantizelinear", "dynamicquantizelinear", "qlinearconv", "qlinearmatmul"),
    *("matmulinteger", "convinteger"),
)
NOT_INTEGER = ("e4m3fn", "e5m2", "float4e2m1")
NOT_READ = ("uint2",)


def cases() -> dict[str, Any]:
    """Name → case, of the modules above: importing one makes its cases."""
    package = import_module("onnx.backend.test.case.node")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of casts on purpose
        for name in OPERATORS:
            import_module(f"onnx.backend.test.case.node.{name}")
    found = {case.name.removeprefix("test_"): case for case in package._NodeTestCases}
    return {name: case for name, case in found.items() if "expanded" not in name}


CASES = cases()
INTEGER = sorted(
    name for name in CASES if not name.endswith(NOT_READ) and not any(word in name for word in NOT_INTEGER)
)


def array(value: Any) -> Any:
    """As NumPy holds it here; 4-bit integers, one to a byte."""
    content = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    names = {"int4": np.int8, "int2": np.int8, "uint4": np.uint8}
    return content.astype(names.get(content.dtype.name, content.dtype))


@pytest.mark.parametrize("name", INTEGER)
def test_expected_outputs(name: str) -> None:
    case = CASES[name]
    graph = read_onnx(case.model.SerializeToString(), "", {})
    program = prepare(graph)
    program.require_all()
    names = [value.name for value in case.model.graph.input]
    for given, wanted in case.data_sets:
        arrays = dict(zip(names, map(array, given), strict=True))
        inputs = {tensor: arrays[graph.tensors[tensor].name] for tensor in graph.inputs}
        assert all(value.dtype == storage(graph.tensors[tensor].dtype) for tensor, value in inputs.items())
        found = evaluate(program, inputs, program.initial_state())
        for tensor, value in zip(graph.outputs, wanted, strict=True):
            np.testing.assert_array_equal(found[tensor].reshape(array(value).shape), array(value))


@pytest.mark.parametrize("name", sorted(name for name in CASES if any(word in name for word in NOT_INTEGER)))
def test_floats_of_few_bits_are_refused(name: str) -> None:
    """They must not pass for integers."""
    with pytest.raises(ModelError):
        prepare(read_onnx(CASES[name].model.SerializeToString(), "", {})).require_all()


@needs_shared
def test_all_of_the_corpus_are_among_them() -> None:
    """Only operators that quantize, or sum integers."""
    found = [entry.name.removeprefix("node_") for entry in models() if entry.name.startswith("node_")]
    ours = [name for name in found if any(word in name for word in ("quantizelinear", "qlinear", "integer"))]
    assert [name for name in ours if name not in INTEGER and not any(word in name for word in NOT_INTEGER)] == []
