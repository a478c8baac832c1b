"""What is known of operators, kept for the next graph that has them or others like them.

An operator is told by its tensor objects first, which the networks of one search share, and then by what these look
like: shapes, types, kinds of quantization, the content of index data. Nothing that is asked here may look at more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mcuprof.graph import ABSENT, DType, Graph, Op, Tensor

T = TypeVar("T")
Facts = dict[str, Any]
# Operators kept by their objects; beyond this, all are forgotten and learnt again.
MAX_OPERATORS = 200_000


class Memo:
    """Answers by operator. `begin` says that another graph is up; until then operators are known by themselves."""

    def __init__(self) -> None:
        self._now: dict[int, Facts] = {}
        self._graph: Graph | None = None
        self._same: dict[tuple[object, ...], tuple[Facts, object]] = {}
        self._alike: dict[tuple[object, ...], Facts] = {}

    def begin(self, graph: Graph) -> None:
        """What is asked from here on is of `graph` and its subgraphs."""
        if self._graph is not graph:
            self._graph, self._now = graph, {}

    def remembering(self, name: str, answer: Callable[..., T]) -> Callable[..., T]:
        """`answer(graph, op, …)`, asked once for all operators that look alike; `…` must be the same in all calls."""

        def remembered(graph: Graph, op: Op, *others: object) -> T:
            facts = self._now.get(id(op))
            if facts is None:
                facts = self._of(graph, op)
            if name not in facts:
                facts[name] = answer(graph, op, *others)
            found: T = facts[name]
            return found

        return remembered

    def _of(self, graph: Graph, op: Op) -> Facts:
        tensors = graph.tensors
        # An absent input is its index, −1: a number, where the others are tensors.
        inputs = [tensors[index] if index >= 0 else index for index in op.inputs]
        outputs = [tensors[index] if index >= 0 else index for index in op.outputs]
        key = (op.kind, id(op.attributes), *inputs, None, *outputs)
        found = self._same.get(key)
        if found is None:
            if len(self._same) >= MAX_OPERATORS:
                self._same.clear()
                self._alike.clear()
            # The attributes are kept with it, so that their id stays theirs.
            found = self._same[key] = (self._alike.setdefault(_looks(graph, op), {}), op.attributes)
        self._now[id(op)] = found[0]
        return found[0]


def _looks(graph: Graph, op: Op) -> tuple[object, ...]:
    attributes = tuple(sorted((name, type(value).__name__, value) for name, value in op.attributes.items()))
    inputs = tuple([_look(graph.tensors[index]) if index != ABSENT else None for index in op.inputs])
    outputs = tuple([_look(graph.tensors[index]) if index != ABSENT else None for index in op.outputs])
    return op.kind, attributes, inputs, outputs


def _look(tensor: Tensor) -> tuple[object, ...]:
    q, data = tensor.quantization, tensor.data
    scheme = None if q is None else (len(q.scale), len(q.zero_point), q.axis, q.block)
    is_index = data is not None and q is None and tensor.dtype in (DType.INT32, DType.INT64)
    content = bytes(data) if is_index and data is not None else data is None
    return tensor.shape, tensor.dtype.value, tensor.variable, scheme, content
