"""Small networks by hand as stripes, the same network whole, and where the stripes' tensors lie inside others."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.memory import View
from tests.graphs import graph, op, tensor


@dataclass(frozen=True)
class Striped:
    """`whole` and `stripes` compute the same; `views` is for `stripes`."""

    whole: Graph
    stripes: Graph
    views: dict[int, View]


class _Builder:
    """Tensors and operators under construction; rows are of `width` × `channels` bytes."""

    def __init__(self, width: int, channels: int) -> None:
        self.width, self.channels = width, channels
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.views: dict[int, View] = {}

    def rows(self, name: str, count: int) -> int:
        self.tensors.append(
            tensor(name, (1, count, self.width, self.channels), scale=(0.5,), zero_point=(0,)),
        )
        return len(self.tensors) - 1

    def constant(self, *values: int) -> int:
        data = np.array(values, np.int32).tobytes()
        self.tensors.append(tensor(f"c{len(self.tensors)}", (len(values),), DType.INT32, data=data))
        return len(self.tensors) - 1

    def slice(self, source: int, start: int, count: int, *, inside: bool) -> int:
        begin = self.constant(0, start, 0, 0)
        size = self.constant(1, count, self.width, self.channels)
        target = self.rows(f"cut{len(self.tensors)}", count)
        self.ops.append(op("SLICE", [source, begin, size], [target]))
        if inside:
            self.views[target] = View(source, start * self.width * self.channels)
        return target

    def pool(self, source: int, kernel: int, target: int | None = None) -> int:
        """Maximum over `kernel` rows, VALID: row j of the output needs rows j … j + kernel − 1."""
        count = self.tensors[source].shape[1] - kernel + 1
        target = self.rows(f"pool{len(self.tensors)}", count) if target is None else target
        window = {"filter_h": kernel, "filter_w": 1, "stride_h": 1, "stride_w": 1, "padding": "VALID"}
        self.ops.append(op("MAX_POOL_2D", [source], [target], window))  # type: ignore[arg-type]
        return target

    def ending(self, source: int) -> int:
        """Two readers of the joined rows, so that all of them are needed to the end."""
        pooled = self.pool(source, 1)
        out = self.rows("out", self.tensors[source].shape[1])
        self.ops.append(op("ADD", [source, pooled], [out]))
        return out


def striped(rng: random.Random) -> Striped:
    """Two or three pools as stripes with halos; some stripes compute rows too many, and crop them in place."""
    width, channels = rng.randint(1, 4), rng.randint(1, 3)
    kernels = [rng.randint(1, 3) for _ in range(rng.randint(1, 3))]
    reach = sum(kernels) - len(kernels)
    count = rng.randint(2, 5)
    cuts = [0]
    for _ in range(count):
        cuts.append(cuts[-1] + rng.randint(1, 3))
    whole = _Builder(width, channels)
    last = given = whole.rows("in", cuts[-1] + reach)
    for kernel in kernels:
        last = whole.pool(last, kernel)
    first = graph(whole.tensors, whole.ops, [], [])
    out = whole.ending(last)
    first = graph(whole.tensors, whole.ops, [given], [out])

    parts = _Builder(width, channels)
    given = parts.rows("in", cuts[-1] + reach)
    joined = parts.rows("joined", cuts[-1])
    pieces = []
    for start, stop in pairwise(cuts):
        extra = rng.choice((0, 0, 1, 2)) if len(kernels) > 1 else 0
        extra = min(extra, cuts[-1] - stop)
        need = stop - start + reach
        last = parts.slice(given, start, need + extra, inside=rng.random() < 0.9)
        for number, kernel in enumerate(kernels):
            last = parts.pool(last, kernel)
            need -= kernel - 1
            if number == 0 and extra:
                last = parts.slice(last, 0, need, inside=rng.random() < 0.8)
        pieces.append(last)
        if last not in parts.views and rng.random() < 0.9:
            parts.views[last] = View(joined, start * width * channels)
    parts.ops.append(op("CONCATENATION", pieces, [joined], {"axis": 1}))
    out = parts.ending(joined)
    return Striped(first, graph(parts.tensors, parts.ops, [given], [out]), parts.views)
