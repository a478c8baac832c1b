"""What each kernel asks of the arena, kind by kind, against the allocations that tflite-micro records.

One operator per model: head and total of the 64-bit build must be ours to the byte, and the smallest arena that we name
must be enough. Sizes on 32-bit targets follow from the same records (pointers shrink), and are compared with executed
firmware in test_tflm_arena.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from mcuprof.readers.tflite import read_tflite
from mcuprof.runtimes.tflm import arena
from mcuprof.runtimes.tflm.abi import HOST64
from mcuprof.runtimes.tflm.kernels.reference import RULES
from tests.recorded import recorded
from tests.tflite_models import O, T, build
from tests.tflm_kernels import CASES, WEIGHTED, ints

runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed")


@pytest.mark.parametrize("name", [*CASES, *WEIGHTED])
def test_one_kernel(name: str) -> None:
    tensors, op = {**CASES, **WEIGHTED}[name]
    given = [index for index in op.inputs if tensors[index].data is None]
    data = build(tensors, [op], given, op.outputs)
    found = arena(read_tflite(data, {}), library="reference", core=None, target=HOST64)
    sizes = [a.nbytes for a in found.tail.allocations if a.what == "operator data"]
    listed = HOST64.word * (len(given) + len(op.outputs))  # addresses of the model's inputs, and of its outputs
    assert found.inexact == ()
    assert (found.head_bytes, found.arena_bytes, sum(sizes) + listed, len(sizes) + 2) == recorded(data)
    runtime.Interpreter.from_bytes(data, arena_size=found.min_arena_bytes)


def branches(kind: str) -> bytes:
    """IF or WHILE whose two subgraphs differ in what they need."""
    flag, x = T((1,), "bool"), T((2, 4, 4, 8), "float32")
    twice = ([x] * 3, [O("EXP", [0], [1]), O("ABS", [1], [2])], [0], [2])
    if kind == "IF":
        op = O("IF", [0, 1], [2], "IfOptions", {"ThenSubgraphIndex": 1, "ElseSubgraphIndex": 2})
        return build([flag, x, x], [op], [0, 1], [2], twice, ([x] * 2, [O("NEG", [0], [1])], [0], [1]))
    op = O("WHILE", [0], [1], "WhileOptions", {"CondSubgraphIndex": 1, "BodySubgraphIndex": 2})
    condition = (
        [x, flag, T((1,), "float32")],
        [O("REDUCE_MAX", [0, 3], [2], "ReducerOptions", {}), O("LESS", [2, 4], [1])],
        [0],
        [1],
    )
    condition[0].extend([ints(0, 1, 2, 3), T((1,), "float32", data=np.ones(1))])
    return build([x, x], [op], [0], [1], condition, twice)


@pytest.mark.parametrize("kind", ["IF", "WHILE"])
def test_kernels_that_run_subgraphs(kind: str) -> None:
    data = branches(kind)
    found = arena(read_tflite(data, {}), library="reference", core=None, target=HOST64)
    assert found.inexact == ()
    assert (found.head_bytes, found.arena_bytes) == recorded(data)[:2]


# Not here: those whose memory depends on weights, state or subgraphs are in the corpus, which test_tflm_arena.py runs.
ELSEWHERE = {
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "SOFTMAX"),
    *("QUANTIZE", "DEQUANTIZE", "CONCATENATION", "STRIDED_SLICE", "RESHAPE"),
    *("IF", "WHILE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"),
}


def test_every_rule_is_judged() -> None:
    assert {name.split()[0] for name in CASES} == set(RULES) - ELSEWHERE
