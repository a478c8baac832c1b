"""Head, tail and smallest arena of random networks against tflite-micro: branches, scratch, several inputs and outputs.

Tests of single kernels cannot see alignment between allocations, or lifetimes; these can.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mcuprof.readers.tflite import read_tflite
from mcuprof.runtimes.tflm import arena
from mcuprof.runtimes.tflm.abi import HOST64
from mcuprof.runtimes.tflm.lifetimes import ALIGNMENT
from tests.recorded import recorded
from tests.tflite_models import O, T, build

runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed")

_SAME_SHAPE = ("RELU", "ABS", "ADD_N", "ADD", "MUL")
_FOUR_DIMENSIONS = (
    *("SPLIT", "CONCATENATION", "RESHAPE", "DEQUANTIZE", "MIRROR_PAD", "MEAN", "GATHER", "PACK", "UNPACK"),
    *("CUMSUM", "RESIZE_NEAREST_NEIGHBOR", "SHAPE", "TRANSPOSE", "BATCH_MATMUL"),
)


class Network:
    """A network that grows by one random operator at a time; `live` are the tensors that may be read."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[T] = []
        self.ops: list[O] = []
        self.inputs = [self.activation(self.shape()) for _ in range(self.rng.integers(1, 4))]
        self.live = list(self.inputs)

    def shape(self) -> tuple[int, ...]:
        return 1, *(int(size) for size in self.rng.integers(2, 9, 3))

    def activation(self, shape: Sequence[int], dtype: str = "int8") -> int:
        self.tensors.append(T(tuple(shape), dtype, *(((0.05,), (0,)) if dtype == "int8" else ((), ()))))
        return len(self.tensors) - 1

    def constant(self, values: object) -> int:
        data = np.array(values, np.int32)
        self.tensors.append(T(data.shape, "int32", data=data))
        return len(self.tensors) - 1

    def add(self, kind: str, inputs: list[int], shape: Sequence[int], dtype: str, count: int = 1) -> None:
        outputs = [self.activation(shape, dtype) for _ in range(count)]
        table, fields = _OPTIONS.get(kind, ("", {}))
        self.ops.append(O(kind, inputs, outputs, table, fields))
        if dtype != "int32":
            self.live += outputs

    def grow(self) -> None:
        x = int(self.rng.choice(self.live))
        shape, dtype = self.tensors[x].shape, self.tensors[x].dtype
        kind = str(self.rng.choice((*_SAME_SHAPE, *(_FOUR_DIMENSIONS if len(shape) == 4 else ()))))
        if kind in ("RELU", "ABS"):
            self.add(kind, [x], shape, dtype)
            return
        if kind in _SAME_SHAPE:
            alike = [t for t in self.live if (self.tensors[t].shape, self.tensors[t].dtype) == (shape, dtype)]
            others = [int(t) for t in self.rng.choice(alike, self.rng.integers(1, 4) if kind == "ADD_N" else 1)]
            self.add(kind, [x, *others], shape, dtype)
            return
        batch, height, width, depth = shape
        half = depth // 2 if depth % 2 == 0 else depth
        made: dict[str, tuple[list[int], tuple[int, ...], str, int]] = {
            "SPLIT": ([self.constant(3), x], (batch, height, width, half), dtype, depth // half),
            "CONCATENATION": ([x, x], (batch, height, width, 2 * depth), dtype, 1),
            "RESHAPE": ([x, self.constant([-1])], (batch * height * width * depth,), dtype, 1),
            "DEQUANTIZE": ([x], shape, "float32", 1),
            "MIRROR_PAD": ([x, self.constant(_PADS)], (batch, height + 2, width + 2, depth), dtype, 1),
            "MEAN": ([x, self.constant([1, 2])], (batch, depth), dtype, 1),
            "GATHER": ([x, self.constant([0, 0])], (2, height, width, depth), dtype, 1),
            "PACK": ([x, x], (2, *shape), dtype, 1),
            "UNPACK": ([x], shape[:3], dtype, depth),
            "CUMSUM": ([x, self.constant(1)], shape, dtype, 1),
            "RESIZE_NEAREST_NEIGHBOR": (
                [x, self.constant([2 * height, 2 * width])],
                (batch, 2 * height, 2 * width, depth),
                dtype,
                1,
            ),
            "SHAPE": ([x], (4,), "int32", 1),
            "TRANSPOSE": ([x, self.constant([0, 2, 1, 3])], (batch, width, height, depth), dtype, 1),
            "BATCH_MATMUL": ([x, x], (batch, height, width, width), dtype, 1),
        }
        inputs, out, of, count = made[kind]
        options = {"SPLIT": {"NumSplits": count}, "UNPACK": {"Num": depth, "Axis": 3}}.get(kind)
        self.add(kind, inputs, out, of, count)
        if options is not None:
            self.ops[-1] = O(kind, inputs, self.ops[-1].outputs, f"{kind.capitalize()}Options", options)

    def data(self) -> bytes:
        computed = [tensor for op in self.ops for tensor in op.outputs]
        more = (int(tensor) for tensor in self.rng.choice(computed, self.rng.integers(0, 3)))
        return build(self.tensors, self.ops, self.inputs, list(dict.fromkeys([computed[-1], *more])))


_PADS = [[0, 0], [1, 1], [1, 1], [0, 0]]
_OPTIONS: dict[str, tuple[str, dict[str, int]]] = {
    "ADD": ("AddOptions", {}),
    "MUL": ("MulOptions", {}),
    "ADD_N": ("AddNOptions", {}),
    "CONCATENATION": ("ConcatenationOptions", {"Axis": 3}),
    "PACK": ("PackOptions", {"ValuesCount": 2, "Axis": 0}),
    "BATCH_MATMUL": ("BatchMatMulOptions", {"AdjY": True}),
    "SHAPE": ("ShapeOptions", {"OutType": 2}),
}


def judge(seeds: range) -> int:
    """How many networks tflite-micro took; all of them have our head, our total and our smallest arena."""
    taken = 0
    for seed in seeds:
        network = Network(seed)
        for _ in range(network.rng.integers(1, 14)):
            network.grow()
        data = network.data()
        try:
            found = recorded(data)
        except RuntimeError:
            continue  # a kernel that does not take this type
        ours = arena(read_tflite(data, {}), library="reference", core=None, target=HOST64)
        assert (ours.head_bytes, ours.arena_bytes) == (found.head, found.total), (seed, [op.kind for op in network.ops])
        assert starts(data, ours.min_arena_bytes), seed
        if all(op.kind != "ADD_N" for op in network.ops):  # its Prepare may need less than is named
            assert not starts(data, ours.min_arena_bytes - ALIGNMENT), seed
        taken += 1
    return taken


def starts(data: bytes, arena_bytes: int) -> bool:
    """Whether tflite-micro runs in an arena of this size."""
    try:
        config = runtime.InterpreterConfig.kAllocationRecording
        runtime.Interpreter.from_bytes(data, arena_size=arena_bytes, intrepreter_config=config).invoke()
    except RuntimeError:
        return False
    return True


def test_random_networks() -> None:
    assert judge(range(150)) > 100


@pytest.mark.slow
def test_many_random_networks() -> None:
    assert judge(range(1000, 6000)) > 4000
