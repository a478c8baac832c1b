"""Random graphs and their optimum by exhaustion: the outside truth for this room. Shares no code with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.ops.sharing import Share

SIZES = (1, 2, 3, 5, 8, 13, 20)
Shares = dict[tuple[int, int, int], Share]  # (operator, input position, output position)


@dataclass(frozen=True)
class Instance:
    """A random graph, who may share in it, and the scratch sizes of its operators."""

    graph: Graph
    shares: Shares
    scratch: list[tuple[int, ...]]

    def sharing(self, graph: Graph, op: Op, strategy: str, input_position: int, output_position: int) -> Share | None:
        """The table of shares as a sharing rule, for every strategy but `none`."""
        key = self.graph.ops.index(op), input_position, output_position
        return None if strategy == "none" else self.shares.get(key)


def random_instance(rng: random.Random, operators: int, *, shares: bool, scratch: bool, exact: bool = True) -> Instance:
    """A random graph with multi-output operators, several consumers and outputs; `exact` shares only on request."""
    sizes = [rng.choice(SIZES) for _ in range(rng.randint(1, 2))]
    inputs = tuple(range(len(sizes)))
    ops: list[Op] = []
    allowed: Shares = {}
    for number in range(operators):
        pool = list(range(len(sizes)))
        recent = pool[-rng.randint(1, 6) :]
        read = tuple(rng.choice(recent if rng.random() < 0.8 else pool) for _ in range(rng.choice((1, 1, 1, 2, 2, 3))))
        outputs = rng.choice((1, 1, 1, 1, 2))
        for output in range(outputs):
            sizes.append(sizes[read[0]] if rng.random() < 0.4 else rng.choice(SIZES))
            for position, tensor in enumerate(read):
                if shares and rng.random() < 0.6:
                    at_least = Share("below", rng.randint(0, max(1, sizes[tensor] // 2)))
                    together = Share("exact", scratch=rng.choice((0, 0, 1)))
                    allowed[number, position, output] = together if exact and rng.random() < 0.4 else at_least
        ops.append(Op("RANDOM", read, tuple(range(len(sizes) - outputs, len(sizes)))))
    read_at_all = {tensor for op in ops for tensor in op.inputs}
    ends = [t for op in ops for t in op.outputs if t not in read_at_all and rng.random() < 0.9]
    middle = [t for op in ops for t in op.outputs if t in read_at_all and rng.random() < 0.1]
    tensors = tuple(Tensor(f"t{number}", (size,), DType.INT8) for number, size in enumerate(sizes))
    blocks: list[tuple[int, ...]] = [(rng.randint(0, 6),) if scratch and rng.random() < 0.4 else () for _ in ops]
    return Instance(Graph("random", tensors, tuple(ops), inputs, tuple(ends + middle)), allowed, blocks)


def orders(graph: Graph) -> Iterator[tuple[int, ...]]:
    """Every topological order, as operator indices."""

    def extend(prefix: tuple[int, ...], known: frozenset[int]) -> Iterator[tuple[int, ...]]:
        if len(prefix) == len(graph.ops):
            yield prefix
        for number, op in enumerate(graph.ops):
            if number not in prefix and known.issuperset(op.inputs):
                yield from extend((*prefix, number), known | set(op.outputs))

    return extend((), frozenset(graph.inputs))


def overlays(instance: Instance, number: int, dying: set[int]) -> dict[tuple[int, int], Share]:
    """(source, target) tensors of operator `number` that may share bytes, when the tensors in `dying` die there."""
    op = instance.graph.ops[number]
    size = [tensor.nbytes for tensor in instance.graph.tensors]
    pairs = {}
    for source in dying:
        for output, target in enumerate(op.outputs):
            found = [instance.shares.get((number, p, output)) for p, t in enumerate(op.inputs) if t == source]
            known = [share for share in found if share is not None]
            if not known or len(known) < len(found):
                continue
            exact = any(share.mode == "exact" for share in known)
            distance, extra = max(share.distance for share in known), max(share.scratch for share in known)
            if not (exact and distance) and min(size[source], size[target] - distance) > extra:
                pairs[source, target] = Share("exact" if exact else "below", distance, extra)
    return pairs


def step_bytes(instance: Instance, done: frozenset[int], number: int) -> int:
    """Least bytes in use while operator `number` runs after `done`: live tensors less what its overlays save."""
    graph, scratch = instance.graph, instance.scratch
    op = graph.ops[number]
    before = {t for n in done for t in graph.ops[n].outputs} | set(graph.inputs)
    later = {t for n, other in enumerate(graph.ops) if n not in done and n != number for t in other.inputs}
    held = {t for t in before if t in later or t in graph.outputs or t in op.inputs}
    dying = {t for t in op.inputs if t not in later and t not in graph.outputs}
    size = [tensor.nbytes for tensor in graph.tensors]
    pairs = overlays(instance, number, dying)
    saved = 0
    for target in op.outputs:
        mine = {source: share for (source, t), share in pairs.items() if t == target}
        if mine:
            each = [min(size[s], size[target] - share.distance) - share.scratch for s, share in mine.items()]
            room = size[target] - min(share.distance for share in mine.values())
            saved += max(each) if all(share.mode == "exact" for share in mine.values()) else min(room, sum(each))
    saved = min(saved, sum(size[source] for source in {source for source, _ in pairs}))
    return sum(size[t] for t in held) + sum(size[t] for t in op.outputs) + sum(scratch[number]) - saved


def least_peak(instance: Instance) -> int:
    """The least peak over all orders, by recursion over every set of operators that may have run."""
    graph = instance.graph
    loaded = sum(graph.tensors[t].nbytes for t in graph.inputs)
    memory: dict[frozenset[int], int] = {frozenset(range(len(graph.ops))): 0}

    def rest(done: frozenset[int]) -> int:
        if done not in memory:
            known = {t for n in done for t in graph.ops[n].outputs} | set(graph.inputs)
            memory[done] = min(
                max(step_bytes(instance, done, n), rest(done | {n}))
                for n, op in enumerate(graph.ops)
                if n not in done and known.issuperset(op.inputs)
            )
        return memory[done]

    return max(loaded, rest(frozenset()))


def least_arena(buffers: list[tuple[int, int, int]], below: dict[tuple[int, int], int], limit: int = 1 << 60) -> int:
    """The least arena for (first, last, bytes) buffers, trying every sequence of stacking them; at most `limit`.

    `below` maps (target, source) to how far the target must start below the source unless they are disjoint.
    """
    best = min(limit, sum(size for _, _, size in buffers))

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
            under = {other: at for other, at in placed.items() if meet(other, number)}
            offset = max((at + below.get((o, number), buffers[o][2]) for o, at in under.items()), default=0)
            if offset >= max(placed.values(), default=0):
                extend({**placed, number: offset}, max(reach, offset + size))

    extend({}, 0)
    return best


def least_joint(instance: Instance) -> int:
    """The least arena over all orders and placements; for instances without exact shares."""
    graph = instance.graph
    best = 1 << 60
    for order in orders(graph):
        position = {number: at for at, number in enumerate(order)}
        written = {t: position[n] for n, op in enumerate(graph.ops) for t in op.outputs} | dict.fromkeys(
            graph.inputs, -1
        )
        last = dict(written)
        for number, op in enumerate(graph.ops):
            for tensor in op.inputs:
                last[tensor] = max(last[tensor], position[number])
        last |= dict.fromkeys(graph.outputs, len(order) - 1)
        names = sorted(written)
        blocks = [(written[t], last[t], graph.tensors[t].nbytes) for t in names]
        blocks += [
            (position[n], position[n], size) for n, sizes in enumerate(instance.scratch) for size in sizes if size
        ]
        below = {}
        for number, op in enumerate(graph.ops):
            dying = {t for t in op.inputs if last[t] == position[number] and t not in graph.outputs}
            for (source, target), share in overlays(instance, number, dying).items():
                below[names.index(target), names.index(source)] = share.distance
        best = min(best, least_arena(blocks, below, best))
    return best


def pairs_that_meet(buffers: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """Index pairs of buffers whose lifetimes meet."""
    for one, other in combinations(range(len(buffers)), 2):
        if buffers[one][0] <= buffers[other][1] and buffers[other][0] <= buffers[one][1]:
            yield one, other
