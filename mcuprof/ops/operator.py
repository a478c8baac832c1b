"""What mcuprof knows of an operator kind: one `Operator` record per kind, made in the file of its family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mcuprof.graph import Graph, Op, Shape, Tensor
from mcuprof.ops.kernel import Array, Prepare
from mcuprof.ops.rows import RowRule

InputShapes = Sequence[Shape]
ShapeRule = Callable[[Graph, Op, InputShapes], tuple[Shape, ...]]
MacRule = Callable[[Graph, Op], int]
StateRule = Callable[[Graph, Op], tuple[Array, ...]]


class ShapeUnknown(Exception):
    """The output shape depends on values that are only known while the network runs."""


def no_macs(graph: Graph, op: Op) -> int:
    """0: published counts take only multiply-accumulates with weights or between activations."""
    return 0


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator kind.

    `shapes(graph, op, inputs)` gives the output shapes for the given input shapes (`()` where an input is absent); it
    raises ShapeUnknown when they depend on run-time values and ValueError when the inputs cannot be right. `macs` gives
    the multiply-accumulates of one execution with the graph's own shapes. `kernel(graph, op)` prepares its execution
    (see `ops/kernel.py`); None where mcuprof cannot execute it. `rows` says how it runs on a stripe of rows
    (`ops/rows.py`); None where it needs the whole image. `state(graph, op)` gives what it keeps for itself from one
    inference to the next, beside any variable tensors, as it is after a reset; None where that is nothing.
    """

    kind: str
    shapes: ShapeRule
    macs: MacRule = no_macs
    kernel: Prepare | None = None
    rows: RowRule | None = None
    state: StateRule | None = None


def constant(graph: Graph, op: Op, position: int) -> np.ndarray:
    """The content of a constant input. Raises ShapeUnknown when the input is computed or absent."""
    return _constant(graph, op, position).array()


def constant_integers(graph: Graph, op: Op, position: int) -> tuple[int, ...]:
    """A constant integer input, flattened. Raises ShapeUnknown when it is computed or absent."""
    return _constant(graph, op, position).integers()


def _constant(graph: Graph, op: Op, position: int) -> Tensor:
    tensor = graph.tensor(op, position)
    if tensor is None or tensor.data is None:
        raise ShapeUnknown(f"{op.kind} input {position} is not a constant")
    return tensor


def same_shape(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """The output has the shape of input 0."""
    return (inputs[0],)


def as_stored(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """The outputs keep the shapes that the file gives them."""
    return tuple(graph.tensors[index].shape for index in op.outputs if index >= 0)


def broadcast(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """NumPy broadcasting over all inputs. Raises ValueError when they do not broadcast."""
    rank = max(map(len, inputs), default=0)
    axes = zip(*((1,) * (rank - len(shape)) + tuple(shape) for shape in inputs), strict=True)
    distinct = [set(sizes) - {1} or {1} for sizes in axes]
    if any(len(sizes) > 1 for sizes in distinct):
        raise ValueError("the shapes do not broadcast")
    return (tuple(size for (size,) in distinct),)


def normalize_axis(axis: int, rank: int) -> int:
    """`axis` counted from the front. Raises ValueError when it is outside −rank … rank−1."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor with {rank} dimensions")
    return axis % rank
