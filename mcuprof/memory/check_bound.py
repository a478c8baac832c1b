"""Re-derives lower bounds: the footprints of an order, a minimum cut at the plan's witness, small searches replayed.

A bound over one order that rests on a moment is compared with that moment's footprint; one over all orders with the
least cut at the operator named as witness. A bound that rests on a search over orders is replayed by plain enumeration
of downsets while there are at most REPLAYED of them. Beyond that, and for searches over placements, the search has the
only word, and only its consistency with the rest is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import chain, combinations

from mcuprof.memory.facts import Facts

REPLAYED = 5_000
_MANY_SOURCES = 3


def footprints(facts: Facts) -> list[int]:
    """Least bytes in use at each position of the plan's order, from the families' lifetimes."""
    keeping = _Keeping(facts)
    final = len(facts.plan.order) - 1
    change = [0] * (final + 2)
    for family in keeping.families:
        first = facts.position.get(family.writer, 0)
        last = final if family.stays else max([first, *(facts.position[reader] for reader in family.readers)])
        if family.writer >= 0 or family.readers or family.stays:
            change[first] += family.size
            change[last + 1] -= family.size
    live, done, found = 0, set[int](), []
    for position, number in enumerate(facts.plan.order):
        live += change[position]
        own = sum(facts.padded(size) for size in facts.asked[number])
        found.append(live + own - keeping.saved(number, keeping.dying(done, number)))
        done.add(number)
    return found


def bound_errors(facts: Facts) -> Iterator[str]:
    """What is wrong with the plan's lower bound, its proof and its witness."""
    plan = facts.plan
    keeping = _Keeping(facts)
    if not 0 <= plan.lower_bound_bytes <= plan.arena_bytes:
        yield f"the lower bound is {plan.lower_bound_bytes} bytes, the arena {plan.arena_bytes}"
        return
    if plan.proof == "bound":
        shown = _shown_by_witness(facts, keeping)
        if plan.lower_bound_bytes > shown:
            yield f"the lower bound is {plan.lower_bound_bytes} bytes, its witness {plan.witness} shows {shown}"
    elif plan.proof != "search":
        yield f"no proof is called {plan.proof!r}"
    elif plan.schedule == "optimal" and _by_peaks(facts) and _replay(facts, keeping, plan.lower_bound_bytes):
        yield f"the lower bound is {plan.lower_bound_bytes} bytes, some order needs less"


def _by_peaks(facts: Facts) -> bool:
    """Whether the bound is one on peaks: a bound above the plan's own peak says that lower peaks cannot be placed."""
    return facts.plan.lower_bound_bytes <= max(facts.plan.footprints, default=0)


@dataclass(frozen=True, slots=True)
class _Family:
    """Tensors that are the same bytes: their padded size, who writes them (−1 the caller), who reads any of them."""

    root: int
    size: int
    writer: int
    readers: frozenset[int]
    stays: bool


class _Keeping:
    """Which bytes must be kept when, by sets of operators done."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.families = [_family(facts, family) for family in {id(f): f for f in facts.views.values()}.values()]
        self.family_of = {tensor: family for family in self.families for tensor in facts.views[family.root]}
        self.size = {tensor: family.size for tensor, family in self.family_of.items()}
        self.loaded = sum(family.size for family in self.families if family.writer < 0)

    def footprint(self, done: Set[int], number: int) -> int:
        """Least bytes in use while operator `number` runs after `done`."""
        total = sum(self.facts.padded(size) for size in self.facts.asked[number])
        for family in self.families:
            present = family.writer < 0 or family.writer in done
            if family.writer == number or (present and (family.stays or not family.readers <= done)):
                total += family.size
        return total - self.saved(number, self.dying(done, number))

    def dying(self, done: Set[int], number: int) -> list[int]:
        """One tensor per family that operator `number` reads last."""
        found = {}
        for tensor in self.facts.graph.ops[number].inputs:
            family = self.family_of.get(tensor)
            if family is not None and not family.stays and all(n in done or n == number for n in family.readers):
                found[family.root] = tensor
        return list(found.values())

    def saved(self, number: int, dying: list[int]) -> int:
        """The most bytes that outputs of `number` can lie on `dying` inputs, less the scratch that this costs."""
        covered, touched = 0, set()
        for output, target in enumerate(self.facts.graph.ops[number].outputs):
            if target not in self.size:
                continue
            gains, exact, nearest = [], True, self.size[target]
            for source in dying:
                share = None if target in self.facts.views[source] else self.facts.share(number, source, output)
                if share is None:
                    continue
                gain = min(self.size[source], self.size[target] - share.distance) - share.scratch
                if gain > 0:
                    gains.append(gain)
                    touched.add(source)
                    exact, nearest = exact and share.mode == "exact", min(nearest, share.distance)
            if gains:
                covered += max(gains) if exact else min(sum(gains), self.size[target] - nearest)
        return min(covered, sum(self.size[source] for source in touched))


def _family(facts: Facts, members: set[int]) -> _Family:
    root = min(members, key=lambda tensor: facts.writer.get(tensor, -1))
    size = max(facts.padded(facts.graph.tensors[tensor].nbytes) for tensor in members)
    return _Family(root, size, facts.writer.get(root, -1), frozenset(facts.family_readers(root)), facts.stays(root))


def _shown_by_witness(facts: Facts, keeping: _Keeping) -> int:
    """What the witness shows: the bytes the caller writes, its operator's footprint in the order, or its least cut."""
    witness = facts.plan.witness
    if witness == -1:
        return keeping.loaded
    if not 0 <= witness < len(facts.graph.ops):
        return 0
    if facts.plan.schedule == "as-is":
        return facts.plan.footprints[facts.plan.order.index(witness)]
    return _least_footprint(facts, keeping, witness)


def _least_footprint(facts: Facts, keeping: _Keeping, number: int) -> int:
    before = {op: facts.before(op) for op in range(len(facts.graph.ops))}
    after: dict[int, set[int]] = {}
    for op, others in before.items():
        for other in others:
            after.setdefault(other, set()).add(op)
    inside, outside = _closure(before, {number}) - {number}, _closure(after, {number})
    sources = [t for t in keeping.dying(set(before) - outside, number) if keeping.saved(number, [t])]
    every = list(chain.from_iterable(combinations(sources, count) for count in range(len(sources) + 1)))
    own = sum(family.size for family in keeping.families if family.writer == number)
    own += sum(facts.padded(size) for size in facts.asked[number])
    if len(sources) > _MANY_SOURCES:
        return _least_kept(keeping, before, inside, outside) + own - keeping.saved(number, sources)
    found = []
    for dying in every:
        forced = {reader for source in dying for reader in facts.family_readers(source)} - {number}
        start = inside | _closure(before, forced)
        if start.isdisjoint(outside):
            found.append(_least_kept(keeping, before, start, outside) + own - keeping.saved(number, list(dying)))
    return min(found)


def _closure(neighbours: dict[int, set[int]], start: set[int]) -> set[int]:
    found, todo = set(start), list(start)
    while todo:
        fresh = neighbours.get(todo.pop(), set()) - found
        found |= fresh
        todo += fresh
    return found


def _least_kept(keeping: _Keeping, before: dict[int, set[int]], inside: set[int], outside: set[int]) -> int:
    """Least bytes kept after any downset between `inside` and the complement of `outside`, by augmenting paths."""
    capacity: dict[object, dict[object, int]] = {}
    endless = 1 << 60

    def name(op: int) -> object:
        return "in" if op < 0 or op in inside else "out" if op in outside else op

    def arc(tail: object, head: object, size: int) -> None:
        capacity.setdefault(tail, {})[head] = capacity.get(tail, {}).get(head, 0) + size
        capacity.setdefault(head, {}).setdefault(tail, 0)

    for op, others in before.items():
        for other in others:
            arc(name(op), name(other), endless)
    for number, family in enumerate(keeping.families):
        kept = "kept", number
        arc(name(family.writer), kept, family.size)
        for reader in family.readers:
            arc(kept, name(reader), endless)
        if family.stays:
            arc(kept, "out", endless)
    total = 0
    while path := _augmenting(capacity):
        amount = min(capacity[tail][head] for tail, head in path)
        for tail, head in path:
            capacity[tail][head] -= amount
            capacity[head][tail] += amount
        total += amount
    return total


def _augmenting(capacity: dict[object, dict[object, int]]) -> list[tuple[object, object]]:
    """A shortest path with capacity left from "in" to "out", as arcs; empty when there is none."""
    reached: dict[object, object] = {"in": None}
    queue: list[object] = ["in"]
    for node in queue:
        for head, left in capacity.get(node, {}).items():
            if left and head not in reached:
                reached[head] = node
                queue.append(head)
        if "out" in reached:
            break
    path: list[tuple[object, object]] = []
    node = "out" if "out" in reached else "in"
    while node != "in":
        path.append((reached[node], node))
        node = reached[node]
    return path


def _replay(facts: Facts, keeping: _Keeping, bound: int) -> bool:
    """Whether some order keeps every footprint below `bound`, as far as REPLAYED downsets can tell."""
    needs = [facts.before(op) for op in range(len(facts.graph.ops))]
    if keeping.loaded >= bound:
        return False
    seen: set[frozenset[int]] = {frozenset()}
    todo = [frozenset[int]()]
    while todo and len(seen) < REPLAYED:
        done = todo.pop()
        if len(done) == len(needs):
            return True
        for number, needed in enumerate(needs):
            if number not in done and needed <= done and keeping.footprint(done, number) < bound:
                longer = done | {number}
                if longer not in seen:
                    seen.add(longer)
                    todo.append(longer)
    return False
