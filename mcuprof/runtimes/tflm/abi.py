"""Sizes of TFLM's structures on the three kinds of targets that lay them out differently.

`ARM`: arm-none-eabi, 32-bit pointers and enums as short as their values need (AAPCS). `ILP32`: 32-bit pointers, 4-byte
enums (Xtensa, RISC-V). `HOST64`: the x86-64 build inside the `tflite-micro` Python package, which records allocations
and has the hooks for compressed weights compiled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Layout(NamedTuple):
    """Size and alignment of one structure in bytes."""

    size: int
    alignment: int


@dataclass(frozen=True, slots=True)
class Abi:
    """One target's layout rules: `word` is the pointer size, `index` the column of the tables of sizes."""

    name: str
    word: int
    index: int

    def pick(self, sizes: tuple[int, int, int]) -> int:
        """The entry of a (ARM, ILP32, HOST64) triple."""
        return sizes[self.index]


ARM = Abi("arm-none-eabi", 4, 0)
ILP32 = Abi("ilp32", 4, 1)
HOST64 = Abi("x86-64 host", 8, 2)

# Allocators that live in the arena themselves: buffer allocator, planner, micro allocator, builtin-data allocator.
ALLOCATORS = ((36, 36, 104), (44, 44, 72), (36, 36, 272))
BUILTIN_DATA_ALLOCATOR = (8, 8, 16)
RESOURCE_VARIABLES = (12, 12, 16)
RESOURCE_VARIABLE = (20, 20, 40)
SUBGRAPH_ALLOCATIONS = (8, 8, 24)
EVAL_TENSOR = (12, 12, 24)
NODE_AND_REGISTRATION = (32, 32, 64)
SCRATCH_HANDLE = (4, 4, 8)
TENSOR = (32, 40, 64)
AFFINE_QUANTIZATION = (12, 12, 24)

# Needed while the plan is computed, in the space of the head: request and allocation records, planner lists.
SCRATCH_REQUEST = (12, 12, 16)
ALLOCATION_INFO = (24, 24, 32)
PLANNER_BUFFER = (40, 40, 40)


def _words(count: int) -> tuple[Layout, Layout, Layout]:
    return (Layout(4 * count, 4),) * 3


_ONE_ENUM = (Layout(1, 1), Layout(4, 4), Layout(4, 4))
_TWO_ENUMS = (Layout(2, 1), Layout(8, 4), Layout(8, 4))
_ONE_FLAG = (Layout(1, 1),) * 3
_TWO_FLAGS = (Layout(2, 1),) * 3

# TfLite*Params of the operators whose parser allocates one (c/builtin_op_data.h).
BUILTIN_DATA: dict[str, tuple[Layout, Layout, Layout]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _words(7)),
    "FULLY_CONNECTED": (Layout(5, 1), Layout(16, 4), Layout(32, 8)),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _words(10)),
    "SOFTMAX": _words(1),
    **dict.fromkeys(("RESHAPE", "SQUEEZE"), _words(9)),
    **dict.fromkeys(("ADD", "SUB", "CAST"), _TWO_ENUMS),
    **dict.fromkeys(("MUL", "DIV", "L2_NORMALIZATION", "ARG_MAX", "ARG_MIN", "SHAPE", "MIRROR_PAD"), _ONE_ENUM),
    **dict.fromkeys(("CONCATENATION", "PACK", "UNPACK", "GATHER", "IF", "WHILE"), _words(2)),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ALL", "REDUCE_ANY"), _ONE_FLAG),
    "SVDF": (Layout(8, 4), Layout(12, 4), Layout(16, 4)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _words(4),
    **dict.fromkeys(("LEAKY_RELU", "SPLIT", "SPLIT_V", "CALL_ONCE", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), _words(1)),
    "TRANSPOSE_CONV": (Layout(16, 4), Layout(20, 4), Layout(20, 4)),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "CUMSUM"), _TWO_FLAGS),
    "STRIDED_SLICE": _words(6),
    "BATCH_MATMUL": (Layout(3, 1),) * 3,
    "VAR_HANDLE": (Layout(8, 4), Layout(8, 4), Layout(16, 8)),
}
