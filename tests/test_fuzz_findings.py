"""What fuzzing found, as the smallest file or shape that shows it. Each once ended in exit code 4, late or never."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcuprof.cli import main
from mcuprof.errors import ModelError
from mcuprof.graph import ABSENT, DType, Graph, Op, Quantization, Tensor
from mcuprof.limits import ReadLimits
from mcuprof.ops.copying import copied
from mcuprof.ops.geometry import taps_inside
from mcuprof.ops.operands import check_operands
from mcuprof.ops.sharing import _largest_lead
from mcuprof.ops.soundness import defects
from mcuprof.readers import read
from mcuprof.readers.extent import check_execution
from mcuprof.runner.program import prepare
from mcuprof.runtimes.tflm.lifetimes import with_plan
from tests.readers.onnx_build import build, node
from tests.readers.onnx_build import read as read_onnx

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "digits_int8.tflite"


def one(op: Op, *tensors: Tensor) -> Graph:
    return Graph("g", tensors, (op,), (op.inputs[0],), op.outputs)


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_reading_a_small_file_takes_no_gibibyte() -> None:
    """`read(limit + 1)` asks for the limit at once: no file could be read in a small container."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
        "from mcuprof.readers import read; read(sys.argv[1])"
    )
    environment = {"OPENBLAS_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code, str(SAMPLE)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", [DType.STRING, DType.VARIANT, DType.RESOURCE])
def test_constants_that_are_no_numbers(dtype: DType) -> None:
    with pytest.raises(ValueError, match="not numbers"):
        Tensor("t", (2,), dtype, data=memoryview(b"")).array()


def test_state_of_a_type_that_is_not_executed() -> None:
    x, y = Tensor("x", (4,), DType.BFLOAT16, variable=True), Tensor("y", (4,), DType.INT8)
    with pytest.raises(ModelError, match="'x' cannot be a variable: tensors of type bfloat16"):
        prepare(one(Op("RELU", (0,), (1,)), x, y)).initial_state()


def test_convolutions_over_no_whole_groups_of_channels() -> None:
    x, y = Tensor("x", (1, 4, 4, 24), DType.INT8), Tensor("y", (1, 4, 4, 2), DType.INT8)
    weights = Tensor("w", (2, 1, 1, 23), DType.INT8, data=memoryview(bytes(46)))
    (defect,) = defects(one(Op("CONV_2D", (0, 1), (2,)), x, weights, y))
    assert "for 23 channels, its input has 24" in defect.message


def test_operands_that_kernels_need() -> None:
    tensors = [Tensor("t", (2, 2), DType.INT8)] * 4
    with pytest.raises(ModelError, match="has no input 4"):
        check_operands(one(Op("SVDF", (0, 1, 2, ABSENT), (3,)), *tensors))
    with pytest.raises(ModelError, match="has no input 1"):
        check_operands(one(Op("PADV2", (0,), (3,)), *tensors))


def test_handles_are_resources() -> None:
    x, y = Tensor("x", (4,), DType.INT8), Tensor("y", (4,), DType.INT8)
    with pytest.raises(ModelError, match="writes a int8"):
        check_operands(one(Op("VAR_HANDLE", (0,), (1,)), x, y))
    with pytest.raises(ModelError, match="has a int8 for a variable"):
        check_operands(one(Op("ASSIGN_VARIABLE", (0, 1), ()), x, y))


def test_scales_are_floats() -> None:
    x, y = Tensor("x", (4,), DType.INT8), Tensor("y", (4,), DType.FLOAT32)
    op = Op("DEQUANTIZE", (0, 0), (1,), source="DequantizeLinear")
    with pytest.raises(ModelError, match="scale of type int8"):
        check_operands(one(op, x, y))


def test_joined_along_an_axis_that_the_output_does_not_grow_on() -> None:
    x = Tensor("x", (1, 2), DType.INT8)
    op = Op("CONCATENATION", (0, 0), (1,), {"axis": 0})
    assert not defects(one(op, x, Tensor("y", (2, 2), DType.INT8)))
    assert any("computes 2x2" in found.message for found in defects(one(op, x, Tensor("y", (1, 4), DType.INT8))))


def test_pack_without_options() -> None:
    graph = one(Op("PACK", (0,), (1,)), Tensor("x", (1, 2), DType.INT8), Tensor("y", (1, 2), DType.INT8))
    assert any("PACK has no options" in found.message for found in defects(graph))


def test_slices_that_start_outside_copy_nothing() -> None:
    begin = Tensor("b", (2,), DType.INT32, data=memoryview(np.array([9, 0], "<i4").tobytes()))
    x, y = Tensor("x", (4, 2), DType.INT8), Tensor("y", (1, 2), DType.INT8)
    op = Op("SLICE", (0, 1), (2,))
    assert copied(one(op, x, begin, y), op, 0) is None
    assert copied(one(op, x, replace(begin, data=None), y), op, 0) is None
    inside = replace(begin, data=memoryview(np.array([3, 0], "<i4").tobytes()))
    found = copied(one(op, x, inside, y), op, 0)
    assert found is not None and found.source == 6


def test_zero_point_that_a_variable_cannot_hold() -> None:
    variable = Tensor("v", (4,), DType.INT8, Quantization((1.0,), (2**31,)), variable=True)
    with pytest.raises(ModelError, match="zero point 2147483648"):
        prepare(Graph("g", (variable,), (), (), ())).initial_state()


def test_offsets_that_no_plan_can_hold() -> None:
    graph = Graph("g", (Tensor("x", (4,), DType.INT8),), (), (0,), (0,))
    with pytest.raises(ModelError, match="offline plan cannot hold"):
        with_plan(graph, (), (2**31,))


def test_executed_models_have_a_limit_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match="--limit executed="):
        check_execution(read(SAMPLE), ReadLimits(executed=10))
    assert main(["verify", str(SAMPLE), "--limit", "executed=1K"]) == 3
    assert "--limit executed=" in capsys.readouterr().err


def test_leads_and_taps_against_counting() -> None:
    """The formulas that replaced loops over all outputs, against those loops."""
    random = np.random.default_rng(9)
    for _ in range(500):
        count, written, stride, padding, read_bytes = (int(v) for v in random.integers(1, 9, 5))
        padding -= 1
        counted = max(i * written - max(0, i * stride - padding) * read_bytes for i in range(count))
        assert _largest_lead(count, written, stride, padding, read_bytes) == counted
        size, kernel, dilation = (int(v) for v in random.integers(1, 9, 3))
        cells = np.arange(count)[:, None] * stride - padding + np.arange(kernel) * dilation
        inside = (cells >= 0) & (cells < size)
        first, end = taps_inside(size, count, kernel, stride, dilation, padding)
        taps = np.arange(kernel)
        assert (((taps >= first[:, None]) & (taps < end[:, None])) == inside).all()


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT8"])
def test_padding_of_small_integers_in_onnx(kind: str) -> None:
    """A pad value is stored in the type of what is padded: ended in exit code 4 for 4-bit types."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    types = onnx.TensorProto
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("Pad", "d p v", "e"),
        node("QuantizeLinear", "e s z", "r"),
        node("DequantizeLinear", "r s z", "y"),
    ]
    constants = {"s": np.float32(0.5), "p": np.array([0, 1, 0, 1]), "v": np.float32(100)}
    made = onnx.ModelProto.FromString(build(nodes, {"x": (types.FLOAT, [1, 4])}, ["y"], constants))
    made.graph.initializer.append(onnx.helper.make_tensor("z", types.DataType.Value(kind), [], [2]))
    graph = read_onnx(made.SerializeToString())
    (pad,) = (op for op in graph.ops if op.kind == "PADV2")
    value = graph.tensors[pad.inputs[2]]
    assert value.dtype is DType[kind] and value.array().tolist() == {"INT4": 7, "UINT4": 15, "INT8": 127}[kind]
