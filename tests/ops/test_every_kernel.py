"""Every kind and element type that tflite-micro runs has a kernel here, with the same outputs on random inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tests.tflm_judge import Feed, agrees, both, random
from tests.tflm_kernels import CASES, DATA, TYPES, of_type

SEEDS = range(3)

# What cannot be compared, types other than bool: the kernel must be there all the same.
UNEQUAL: Mapping[str, str] = {
    "CUSTOM:SignalEnergy": "writes only the bins from start to end (tests/ops/test_signal.py)",
    "CUSTOM:SignalStacker": "writes nothing before its window is full (tests/ops/test_signal.py)",
    "CUSTOM:TFLite_Detection_PostProcess": "leaves what is beyond the detections found (tests/ops/test_detection.py)",
    "LOGICAL_AND": "reads operands of other types than bool as bool, one byte each",
    "LOGICAL_OR": "reads operands of other types than bool as bool, one byte each",
}
# With coarser outputs int8 quotients are undefined, see `ops/division.py`.
OUTPUT = {("DIV", "int8"): (0.01, 0)}
# Inputs that are indices, shapes or shifts, and the one kind that stops at negative numbers.
TAKES: Mapping[str, Callable[[Any], Any]] = {
    "EMBEDDING_LOOKUP": lambda array: array % 2,
    "BROADCAST_ARGS": lambda array: array % 2,
    "CUSTOM:SignalFilterBankSquareRoot": lambda array: array % 10,
    "RSQRT": lambda array: np.maximum(array, 0),
}


def of_kind(kind: str, seed: int) -> Feed:
    """Random inputs that the kind can take."""
    change = TAKES.get(kind, lambda array: array)
    return lambda graph: {index: change(array).astype(array.dtype) for index, array in random(seed)(graph).items()}


@pytest.mark.parametrize("name", CASES)
def test_every_type_is_the_runtimes(name: str) -> None:
    tensors, op = CASES[name]
    own = tensors[op.inputs[DATA.get(op.kind, 0)]].dtype
    ran = []
    for dtype in [own] if op.kind.startswith("CUSTOM") else TYPES:
        made, op = CASES[name] if op.kind.startswith("CUSTOM") else of_type(name, dtype, OUTPUT.get((op.kind, dtype)))
        for seed in SEEDS:
            if op.kind in UNEQUAL and dtype != "bool":
                found = both(made, op, of_kind(op.kind, seed)) is not None
            else:
                found = agrees(made, op, of_kind(op.kind, seed))
            ran += [dtype] if found else []
    assert own in ran, f"tflite-micro runs {ran}"
