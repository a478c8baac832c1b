"""tflite-micro as the judge of one model: its outputs beside ours, on the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from mcuprof.graph import Graph
from mcuprof.readers.tflite import read_tflite
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.program import evaluate, prepare
from mcuprof.runtimes.tflm.support import refusal
from tests.tflite_models import O, T, build

Feed = Callable[[Graph], Mapping[int, Any]]


def both(tensors: Sequence[T], op: O, feed: Feed) -> list[tuple[Any, Any]] | None:
    """(ours, tflite-micro's) of every output; None where tflite-micro refuses the model or these inputs.

    Every input that is no constant is fed. Fails where tflite-micro has a kernel and mcuprof has none.
    """
    runtime = pytest.importorskip(
        "tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed", exc_type=ImportError
    )
    data = build(tensors, [op], [index for index in dict.fromkeys(op.inputs) if is_fed(tensors, index)], op.outputs)
    graph = read_tflite(data, {})
    if (refusal(graph, graph.ops[0]) or "").startswith("TFLM's kernel ends the program"):
        return None  # and the test's with it
    if (op.kind, tensors[op.inputs[0]].dtype) == ("GREATER", "int16"):
        return None  # it compares with multipliers that are set for int8 only
    arrays = feed(graph)
    try:
        interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 20)
        for position, tensor in enumerate(graph.inputs):
            interpreter.set_input(arrays[tensor].copy(), position)
        interpreter.invoke()
    except RuntimeError:
        return None
    program = prepare(graph)
    program.require_all()
    ours = evaluate(program, arrays, program.initial_state())
    given = [interpreter.get_output(position) for position in range(len(graph.outputs))]
    return [(ours[index], found.reshape(ours[index].shape)) for index, found in zip(graph.outputs, given, strict=True)]


def is_fed(tensors: Sequence[T], index: int) -> bool:
    """True for an operand that the test gives at run time."""
    return index >= 0 and tensors[index].data is None and not tensors[index].variable


def random(seed: int, wide: int = 1000) -> Feed:
    """Random inputs as the runner makes them, but signed integers of 32 and 64 bits in −`wide` … `wide`."""

    def feed(graph: Graph) -> dict[int, Any]:
        arrays = random_inputs(graph, seed)
        rng = np.random.default_rng(seed)
        for index, array in arrays.items():
            if array.dtype in (np.int32, np.int64):
                arrays[index] = rng.integers(-wide, wide, array.shape, array.dtype, endpoint=True)
        return arrays

    return feed


def agrees(tensors: Sequence[T], op: O, feed: Feed) -> bool:
    """Asserts that all outputs are tflite-micro's, bit by bit; False where it refuses."""
    found = both(tensors, op, feed)
    for ours, theirs in found or ():
        assert ours.dtype == theirs.dtype, (op.kind, ours.dtype, theirs.dtype)
        np.testing.assert_array_equal(ours, theirs)
    return found is not None
