"""Which element types and which fixed quantizations TFLM's kernels take: our table against running every combination.

A kernel that does not take a type says so in Prepare or, on the board, at the first inference. Either is a refusal.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from mcuprof.ops.soundness import defects
from mcuprof.readers.tflite import read_tflite
from mcuprof.runtimes.tflm.support import refusal
from tests.tflite_models import TYPE_NUMBERS, O, T, build
from tests.tflm_kernels import CASES, DATA, FIXED, QUANTIZED, TYPES, of_type, retyped

runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed")


def outcome(tensors: Sequence[T], op: O, values: Mapping[int, Any] = MappingProxyType({})) -> tuple[bool, str | None]:
    """Whether tflite-micro runs it once, and our refusal. Inputs are 1, 5 where they are quantized, or of `values`."""
    given = [index for index in op.inputs if tensors[index].data is None]
    data = build(tensors, [op], given, op.outputs)
    graph = read_tflite(data, {})
    try:
        interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 20)
        for position, index in enumerate(given):
            tensor = tensors[index]
            filled = np.full(tensor.shape, values.get(index, 5 if tensor.scale else 1), tensor.dtype)
            interpreter.set_input(filled, position)
        interpreter.invoke()
    except RuntimeError:
        return False, refusal(graph, graph.ops[0])
    return True, refusal(graph, graph.ops[0])


# It runs, with multipliers that Prepare has set for int8 only.
UNDEFINED = {("GREATER", "int16")}


def agree(tensors: Sequence[T], op: O, values: Mapping[int, Any] = MappingProxyType({})) -> None:
    runs, refused = outcome(tensors, op, values)
    if (op.kind, tensors[op.inputs[0]].dtype) in UNDEFINED:
        assert refused is not None
        return
    assert runs == (refused is None), (op.kind, [tensor.dtype for tensor in tensors], runs, refused)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("CUSTOM")])
def test_every_type(name: str, dtype: str) -> None:
    agree(*of_type(name, dtype))


def pairs() -> Iterator[tuple[str, list[T], O]]:
    """Operators that change the type, with every pair; indices and outputs of every type."""
    for before in TYPES:
        for after in TYPES:
            x = T((1, 2, 2, 4), before, *_scaled(before))
            y = T((1, 2, 2, 4), after, *_scaled(after))
            yield "QUANTIZE", [x, y], O("QUANTIZE", [0], [1])
            yield "DEQUANTIZE", [x, y], O("DEQUANTIZE", [0], [1])
            numbers = {"InDataType": TYPE_NUMBERS[before], "OutDataType": TYPE_NUMBERS[after]}
            yield "CAST", [x, y], O("CAST", [0], [1], "CastOptions", numbers)
            shape = replace(y, shape=(4,))
            yield "SHAPE", [x, shape], O("SHAPE", [0], [1], "ShapeOptions", {"OutType": TYPE_NUMBERS[after]})
            axis, largest = T((1,), "int32", data=[3]), replace(y, shape=(1, 2, 2))
            yield "ARG_MAX", [x, axis, largest], O("ARG_MAX", [0, 1], [2], "ArgMaxOptions", {})
        row = T((4, 2), "int8", (0.1,), (0,))
        index, picked = T((2,), before, *_scaled(before), [1, 0]), T((2, 2), "int8", (0.1,), (0,))
        yield "GATHER", [row, index, picked], O("GATHER", [0, 1], [2], "GatherOptions", {})
        yield "GATHER_ND", [row, replace(index, shape=(2, 1)), picked], O("GATHER_ND", [0, 1], [2])
        table, found = T((4, 2), "float32", data=np.ones((4, 2))), T((2, 2), "float32")
        rows = T((2,), before)
        yield "EMBEDDING_LOOKUP", [rows, table, found], O("EMBEDDING_LOOKUP", [0, 1], [2])
        one, two = T((1, 4), before, *_scaled(before)), T((2, 4), before, *_scaled(before))
        yield "CONCATENATION", [one, one, two], O("CONCATENATION", [0, 1], [2], "ConcatenationOptions", {})
        cut = [T((2,), "int32", data=value) for value in ([0, 0], [1, 4], [1, 1])]
        yield "STRIDED_SLICE", [two, *cut, one], O("STRIDED_SLICE", range(4), [4], "StridedSliceOptions", {})
        flat = [one, T((1,), "int32", data=[4]), replace(one, shape=(4,))]
        yield "RESHAPE", flat, O("RESHAPE", [0, 1], [2], "ReshapeOptions", {})


def _scaled(dtype: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    return ((0.05,), (0,)) if dtype in (*QUANTIZED, "int32") else ((), ())


@pytest.mark.parametrize(
    "kind",
    [
        *("QUANTIZE", "DEQUANTIZE", "CAST", "SHAPE", "ARG_MAX", "GATHER", "GATHER_ND", "EMBEDDING_LOOKUP"),
        *("CONCATENATION", "STRIDED_SLICE", "RESHAPE"),
    ],
)
def test_every_pair_of_types(kind: str) -> None:
    tried = [(tensors, op) for found, tensors, op in pairs() if found == kind]
    assert len(tried) >= len(TYPES)
    for tensors, op in tried:
        agree(tensors, op)


@pytest.mark.parametrize("kind", ["LOGISTIC", "TANH", "SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "ELU"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_quantization_of_the_output(kind: str, dtype: str) -> None:
    options = ("SoftmaxOptions", {"Beta": 1.0}) if kind == "SOFTMAX" else ("", None)
    x = T((1, 4), dtype, (0.05,), (0,))
    scales = (1 / 256, 1 / 128, 1 / 16, 1 / 32768, 1 / 65536, 1.0005 / 32768, 1.002 / 32768, 1.0005 / 256, 0.05)
    for scale in scales:
        for zero in (-128, 0, 5, 127):
            agree([x, T((1, 4), dtype, (scale,), (zero,))], O(kind, [0], [1], *options))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("CUSTOM")])
def test_one_tensor_with_another_quantization(name: str, dtype: str) -> None:
    tensors, op = CASES[name]
    data = op.inputs[DATA.get(op.kind, 0)]
    base = tensors[data].dtype
    kind_of_data = [i for i, t in enumerate(tensors) if t.dtype == base and len(t.scale) < 2]
    same = [i for i in kind_of_data if i == data or tensors[i].data is None or tensors[i].scale]
    usual = {i: FIXED.get((op.kind, dtype), (0.05, 0)) if i in op.outputs else (0.05, 0) for i in same}
    for odd in same:
        scale, zero = usual[odd]
        for other in ((scale, zero + 3), (scale * 1.5, zero)):
            made = [
                retyped(t, dtype, other if i == odd else usual[i]) if i in usual else t for i, t in enumerate(tensors)
            ]
            agree(made, op)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("channels", [1, 4])
def test_scale_of_a_bias(dtype: str, channels: int) -> None:
    x, out = (T((1, 4), dtype, (0.05,), (0,)) for _ in range(2))
    weights = T((4, 4), "int8", (0.05,) * channels, (0,) * channels, np.ones((4, 4)))
    for factor in (0.0, 0.2, 0.7, 0.99, 1.0, 1.39, 1.41, 400.0):
        scale = (0.0025 * factor,) * channels if factor else ()
        bias = T((4,), "int32" if dtype == "int8" else "int64", scale, (0,) * len(scale), np.zeros(4))
        agree([x, weights, bias, out], O("FULLY_CONNECTED", range(3), [3], "FullyConnectedOptions", {}))


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("CUSTOM")])
def test_constants_that_are_computed(name: str) -> None:
    tensors, op = CASES[name]
    for index in op.inputs:
        if tensors[index].data is not None:
            made = [replace(tensor, data=None) if i == index else tensor for i, tensor in enumerate(tensors)]
            agree(made, op, {index: tensors[index].data})


def of_rank(rank: int, dtype: str) -> Iterator[tuple[list[T], O]]:
    """Operators on tensors of so many dimensions of 2."""
    big, one, less = ((size,) * count for size, count in ((2, rank), (1, rank), (2, rank - 1)))
    x, y, reduced = (T(shape, dtype, *_scaled(dtype)) for shape in (big, one, less))
    rows = [T((rank,), "int32", data=np.full(rank, value)) for value in (0, 1, 2)]
    order, pads = T((rank,), "int32", data=np.arange(rank)), T((rank, 2), "int32", data=np.zeros((rank, 2)))
    axis, twice = T((1,), "int32", data=[rank - 1]), replace(x, shape=(4, *big[1:]))
    yield [x, pads, x], O("PAD", [0, 1], [2])
    yield [x, pads, replace(T((), dtype, *_scaled(dtype)), data=1), x], O("PADV2", [0, 1, 2], [3])
    yield [x, order, x], O("TRANSPOSE", [0, 1], [2])
    yield [y, rows[2], x], O("BROADCAST_TO", [0, 1], [2])
    yield [x, axis, x], O("REVERSE_V2", [0, 1], [2])
    yield [x, x, twice], O("CONCATENATION", [0, 1], [2], "ConcatenationOptions", {"Axis": 0})
    yield [x, rows[0], rows[1], rows[1], y], O("STRIDED_SLICE", range(4), [4], "StridedSliceOptions", {})
    yield [x, axis, reduced], O("MEAN", [0, 1], [2], "ReducerOptions", {})
    yield [x, axis, reduced], O("SUM", [0, 1], [2], "ReducerOptions", {})
    yield [x, x], O("L2_NORMALIZATION", [0], [1])
    if rank > 1:
        yield [x, x, x], O("BATCH_MATMUL", [0, 1], [2], "BatchMatMulOptions", {})
    for kind in ("ADD", "SUB", "MUL"):
        yield [x, y, x], O(kind, [0, 1], [2], f"{kind.capitalize()}Options", {})
    if rank <= 5:  # beyond, tflite-micro ends the process
        yield [x, rows[0], rows[1], y], O("SLICE", range(3), [3])


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("rank", range(1, 9))
def test_dimensions(rank: int, dtype: str) -> None:
    for tensors, op in of_rank(rank, dtype):
        agree(tensors, op)


def survives(tensors: Sequence[T], op: O) -> bool:
    """Whether tflite-micro comes back from one inference, asked in a process that may die of it."""
    given = [index for index in op.inputs if tensors[index].data is None]
    data = build(tensors, [op], given, op.outputs)
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        try:
            runtime.Interpreter.from_bytes(data, arena_size=1 << 20).invoke()
        finally:
            os._exit(0)
    return os.WIFEXITED(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="tflite-micro would end the test's own process")
@pytest.mark.parametrize("kind", ["ADD", "SUB", "ADD_N", "CUMSUM", "EQUAL", "LESS", "GREATER_EQUAL"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_scales_that_end_the_program(kind: str, dtype: str) -> None:
    """The multiplier from inputs to output at, just below and just above 1, where the kernel takes only less."""
    options = {"ADD": "AddOptions", "SUB": "SubOptions", "ADD_N": "AddNOptions", "CUMSUM": "CumsumOptions"}.get(
        kind, ""
    )
    bits = 20 if dtype == "int8" else 15
    compares = not options
    for factor in (0.5, 0.99, 1.0, 1.01, 2.0):
        x = T((4,), dtype, (float(np.float32(factor)),), (0,))
        second = T((), "int32", data=0) if kind == "CUMSUM" else x
        out = T((4,), "bool") if compares else T((4,), dtype, (2.0 ** (1 - bits),), (0,))
        tensors, op = [x, second, out], O(kind, [0, 1], [2], options, {} if options else None)
        graph = read_tflite(build(tensors, [op], [0] if kind == "CUMSUM" else [0, 1], [2]), {})
        told = refusal(graph, graph.ops[0]) or ""
        if "does not take" not in told:  # a type without a kernel never gets so far
            assert survives(tensors, op) == (not told.startswith("TFLM's kernel ends the program")), (factor, told)


@pytest.mark.parametrize(("kind", "field"), [("SPLIT", "NumSplits"), ("SPLIT_V", "NumSplits"), ("UNPACK", "Num")])
def test_options_that_count_the_outputs_wrongly(kind: str, field: str) -> None:
    """tflite-micro's SPLIT goes by its outputs; UNPACK by its option, and leaves the second output as it was."""
    tensors, op = CASES[kind]
    (given,) = (index for index in op.inputs if tensors[index].data is None)
    wrong = build(tensors, [replace(op, fields={**(op.fields or {}), field: 1})], [given], op.outputs)
    interpreter = runtime.Interpreter.from_bytes(wrong, arena_size=1 << 20)
    interpreter.set_input(np.full(tensors[given].shape, 5, np.int8), 0)
    interpreter.invoke()
    written = [bool((interpreter.get_output(position) == 5).all()) for position in range(2)]
    assert written == [True, kind != "UNPACK"]
    found = [defect.message for defect in defects(read_tflite(wrong, {})) if defect.fatal]
    assert found == ([] if all(written) else ["operator 0 (UNPACK) is said to have 1 parts, and has 2"])
