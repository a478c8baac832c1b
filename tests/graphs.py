"""Small graphs built by hand, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from mcuprof.graph import Attribute, DType, Graph, Op, Origin, Quantization, Tensor


class Affine(TypedDict):
    """Keyword arguments of `tensor` for its quantization."""

    scale: Sequence[float]
    zero_point: Sequence[int]


def tensor(
    name: str,
    shape: Sequence[int],
    dtype: DType = DType.INT8,
    *,
    data: bytes | None = None,
    scale: Sequence[float] = (),
    zero_point: Sequence[int] = (),
    variable: bool = False,
) -> Tensor:
    quantization = Quantization(tuple(scale), tuple(zero_point)) if scale else None
    content = memoryview(data) if data is not None else None
    return Tensor(name, tuple(shape), dtype, quantization, content, variable)


def op(
    kind: str, inputs: Sequence[int], outputs: Sequence[int], attributes: Mapping[str, Attribute] | None = None
) -> Op:
    return Op(kind, tuple(inputs), tuple(outputs), attributes or {})


def graph(
    tensors: Sequence[Tensor],
    ops: Sequence[Op],
    inputs: Sequence[int],
    outputs: Sequence[int],
    *,
    metadata: Mapping[str, bytes] | None = None,
    subgraphs: Sequence[Graph] = (),
) -> Graph:
    origin = Origin(metadata=metadata or {})
    return Graph("test", tuple(tensors), tuple(ops), tuple(inputs), tuple(outputs), origin, tuple(subgraphs))
