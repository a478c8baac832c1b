"""Random graphs and their optimum by exhaustion: the outside truth of these tests. Shares no code with the room."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import combinations

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.ops.sharing import Share

Shares = dict[tuple[int, int, int], Share]  # (operator, input position, output position)


def random_graph(
    rng: random.Random, operators: int, *, shares: bool, scratch: bool
) -> tuple[Graph, Shares, list[tuple[int, ...]]]:
    """A random graph with multi-output operators, several consumers and outputs, who may share, and scratch sizes."""
    sizes = [rng.choice((1, 2, 3, 5, 8, 13, 20)) for _ in range(rng.randint(1, 2))]
    inputs = tuple(range(len(sizes)))
    ops: list[Op] = []
    allowed: Shares = {}
    for number in range(operators):
        pool = list(range(len(sizes)))
        recent = pool[-rng.randint(1, 6) :]
        read = tuple(rng.choice(recent if rng.random() < 0.8 else pool) for _ in range(rng.choice((1, 1, 1, 2, 2, 3))))
        written = []
        for output in range(rng.choice((1, 1, 1, 1, 2))):
            like = sizes[read[0]]
            sizes.append(like if rng.random() < 0.4 else rng.choice((1, 2, 3, 5, 8, 13, 20)))
            written.append(len(sizes) - 1)
            for position, tensor in enumerate(read):
                if shares and rng.random() < 0.6:
                    exact = rng.random() < 0.4
                    allowed[number, position, output] = (
                        Share("exact", scratch=rng.choice((0, 0, 1)))
                        if exact
                        else Share("below", rng.randint(0, max(1, sizes[tensor] // 2)))
                    )
        ops.append(Op("RANDOM", read, tuple(written)))
    read_at_all = {tensor for op in ops for tensor in op.inputs}
    ends = [t for op in ops for t in op.outputs if t not in read_at_all and rng.random() < 0.9]
    middle = [t for op in ops for t in op.outputs if t in read_at_all and rng.random() < 0.1]
    tensors = tuple(Tensor(f"t{number}", (size,), DType.INT8) for number, size in enumerate(sizes))
    blocks = [(rng.randint(0, 6),) if scratch and rng.random() < 0.4 else () for _ in ops]
    return Graph("random", tensors, tuple(ops), inputs, tuple(ends + middle)), allowed, blocks


def rule(allowed: Shares) -> Callable[[Graph, Op, str, int, int], Share | None]:
    """The table as a sharing rule, for every strategy but `none`."""

    def share(graph: Graph, op: Op, strategy: str, input_position: int, output_position: int) -> Share | None:
        return None if strategy == "none" else allowed.get((graph.ops.index(op), input_position, output_position))

    return share


def orders(graph: Graph) -> Iterator[tuple[int, ...]]:
    """Every topological order, as operator indices."""

    def extend(prefix: tuple[int, ...], known: frozenset[int]) -> Iterator[tuple[int, ...]]:
        if len(prefix) == len(graph.ops):
            yield prefix
        for number, op in enumerate(graph.ops):
            if number not in prefix and known.issuperset(op.inputs):
                yield from extend((*prefix, number), known | set(op.outputs))

    return extend((), frozenset(graph.inputs))


def step_bytes(graph: Graph, done: frozenset[int], number: int, allowed: Shares, scratch: list[tuple[int, ...]]) -> int:
    """Least bytes in use while operator `number` runs after `done`: live tensors less what its overlays save."""
    op = graph.ops[number]
    before = {t for n in done for t in graph.ops[n].outputs} | set(graph.inputs)
    later = {t for n, other in enumerate(graph.ops) if n not in done and n != number for t in other.inputs}
    held = {t for t in before if t in later or t in graph.outputs or t in op.inputs}
    dying = {t for t in op.inputs if t not in later and t not in graph.outputs}
    size = [tensor.nbytes for tensor in graph.tensors]
    pairs: dict[tuple[int, int], Share] = {}
    for source in dying:
        for output, target in enumerate(op.outputs):
            found = [allowed.get((number, p, output)) for p, t in enumerate(op.inputs) if t == source]
            known = [share for share in found if share is not None]
            if len(known) < len(found):
                continue
            exact = any(share.mode == "exact" for share in known)
            distance = max(share.distance for share in known)
            if exact and distance:
                continue
            extra = max(share.scratch for share in known)
            if min(size[source], size[target] - distance) - extra > 0:
                pairs[source, target] = Share("exact" if exact else "below", distance, extra)
    saved = 0
    for target in op.outputs:
        mine = {source: share for (source, t), share in pairs.items() if t == target}
        if mine:
            each = [min(size[s], size[target] - share.distance) - share.scratch for s, share in mine.items()]
            room = size[target] - min(share.distance for share in mine.values())
            saved += max(each) if all(share.mode == "exact" for share in mine.values()) else min(room, sum(each))
    saved = min(saved, sum(size[source] for source in {source for source, _ in pairs}))
    return sum(size[t] for t in held) + sum(size[t] for t in op.outputs) + sum(scratch[number]) - saved


def least_peak(graph: Graph, allowed: Shares, scratch: list[tuple[int, ...]]) -> int:
    """The least peak over all orders, by the shortest-bottleneck recursion over every set of operators done."""
    loaded = sum(graph.tensors[t].nbytes for t in graph.inputs)
    memory: dict[frozenset[int], int] = {frozenset(range(len(graph.ops))): 0}

    def rest(done: frozenset[int]) -> int:
        if done not in memory:
            known = {t for n in done for t in graph.ops[n].outputs} | set(graph.inputs)
            memory[done] = min(
                max(step_bytes(graph, done, n, allowed, scratch), rest(done | {n}))
                for n, op in enumerate(graph.ops)
                if n not in done and known.issuperset(op.inputs)
            )
        return memory[done]

    return max(loaded, rest(frozenset()))


def least_arena(buffers: list[tuple[int, int, int]], below: dict[tuple[int, int], int]) -> int:
    """The least arena for (first, last, bytes) buffers, trying every stacking order of all of them.

    `below` maps (target, source) to how far the target must start below the source unless they are disjoint.
    """
    best = sum(size for _, _, size in buffers)

    def meet(one: int, other: int) -> bool:
        return buffers[one][0] <= buffers[other][1] and buffers[other][0] <= buffers[one][1]

    def extend(placed: dict[int, int], reach: int) -> None:
        nonlocal best
        if reach >= best:
            return
        if len(placed) == len(buffers):
            best = reach
            return
        for number, (_, _, size) in enumerate(buffers):
            if number in placed:
                continue
            # In ascending order of offset, each buffer rests on the floor or on one placed before it.
            offset = max(
                (
                    at + below.get((other, number), buffers[other][2])
                    for other, at in placed.items()
                    if meet(other, number)
                ),
                default=0,
            )
            if offset >= max(placed.values(), default=0):
                extend({**placed, number: offset}, max(reach, offset + size))

    extend({}, 0)
    return best


def pairs_that_meet(buffers: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """Index pairs of buffers whose lifetimes meet."""
    for one, other in combinations(range(len(buffers)), 2):
        if buffers[one][0] <= buffers[other][1] and buffers[other][0] <= buffers[one][1]:
            yield one, other
