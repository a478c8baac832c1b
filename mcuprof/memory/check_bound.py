"""Re-derives lower bounds: the footprints of an order, a minimum cut at the plan's witness, small searches replayed.

A bound over one order that rests on a moment is compared with that moment's footprint; one over all orders with the
least cut at the operator named as witness. A bound that rests on a search over orders is replayed by plain enumeration
of downsets while there are at most REPLAYED of them. Beyond that, and for searches over placements, the search has the
only word, and only its consistency with the rest is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import chain, combinations

from mcuprof.memory.contents import Contents, Family
from mcuprof.memory.facts import Facts
from mcuprof.ops.sharing import Share

REPLAYED = 5_000
_MANY_SOURCES = 3


def footprints(keeping: Keeping) -> list[int]:
    """Least bytes in use at each position of the plan's order, from the families' lifetimes."""
    facts = keeping.facts
    final = len(facts.plan.order) - 1
    change = [0] * (final + 2)
    dying: dict[int, list[Family]] = {}
    for family in keeping.families:
        first = facts.position.get(family.writer, 0)
        last = final if family.stays else max([first, *(facts.position[reader] for reader in family.readers)])
        if family.readers and not family.stays:
            dying.setdefault(facts.plan.order[max(facts.position[reader] for reader in family.readers)], []).append(
                family
            )
        if family.writer >= 0 or family.readers or family.stays:
            change[first] += family.size
            change[last + 1] -= family.size
    live, found = 0, []
    for position, number in enumerate(facts.plan.order):
        live += change[position]
        own = sum(facts.padded(size) for size in facts.asked[number])
        found.append(live + own - keeping.saved(number, dying.get(number, [])))
    return found


def bound_errors(keeping: Keeping) -> Iterator[str]:
    """What is wrong with the plan's lower bound, its proof and its witness."""
    facts, plan = keeping.facts, keeping.facts.plan
    if not 0 <= plan.lower_bound_bytes <= plan.arena_bytes:
        yield f"the lower bound is {plan.lower_bound_bytes} bytes, the arena {plan.arena_bytes}"
        return
    if plan.proof == "bound":
        shown = facts.padded(_shown_by_witness(facts, keeping))  # arenas are multiples of the alignment
        if plan.lower_bound_bytes > shown:
            yield f"the lower bound is {plan.lower_bound_bytes} bytes, its witness {plan.witness} shows {shown}"
    elif plan.proof != "search":
        yield f"no proof is called {plan.proof!r}"
    elif plan.schedule == "optimal" and _by_peaks(facts) and _replay(facts, keeping, plan.lower_bound_bytes):
        yield f"the lower bound is {plan.lower_bound_bytes} bytes, some order needs less"


def _by_peaks(facts: Facts) -> bool:
    """Whether the bound is one on peaks: a bound above the plan's own peak says that lower peaks cannot be placed."""
    return facts.plan.lower_bound_bytes <= max(facts.plan.footprints, default=0)


class Keeping:
    """Which bytes must be kept when, by sets of operators done."""

    def __init__(self, facts: Facts, contents: Contents) -> None:
        self.facts, self.contents = facts, contents
        self.families, self.read_by, self.rooted = contents.families, contents.read_by, contents.rooted
        self.loaded = sum(family.size for family in self.families if family.writer < 0)

    def footprint(self, done: Set[int], number: int) -> int:
        """Least bytes in use while operator `number` runs after `done`."""
        total = sum(self.facts.padded(size) for size in self.facts.asked[number])
        for family in self.families:
            present = family.writer < 0 or family.writer in done
            if family.writer == number or (present and (family.stays or not family.readers <= done)):
                total += family.size
        return total - self.saved(number, self.dying(done, number))

    def dying(self, done: Set[int], number: int) -> list[Family]:
        """What operator `number` reads last."""
        return [
            family
            for family in self.read_by.get(number, ())
            if not family.stays and all(reader in done or reader == number for reader in family.readers)
        ]

    def saved(self, number: int, dying: list[Family]) -> int:
        """The most bytes that outputs of `number` can lie on `dying` inputs, less the scratch that this costs."""
        covered, touched = 0, set()
        for output, target in enumerate(self.facts.graph.ops[number].outputs):
            mine = self.rooted.get(target, []) if dying else []
            written = sum(family.size for family in mine)
            gains, exact, nearest = [], True, written
            for source in dying if mine else ():
                share = self._share(number, source, output, len(mine) > 1)
                gain = min(source.size, written - share.distance) - share.scratch if share else 0
                if share and gain > 0:
                    gains.append(gain)
                    touched.add(source)
                    exact, nearest = exact and share.mode == "exact", min(nearest, share.distance)
            if gains:
                covered += max(gains) if exact else min(sum(gains), written - nearest)
        return min(covered, sum(source.size for source in touched))

    def _share(self, number: int, source: Family, output: int, split: bool) -> Share | None:
        """How far below the first byte of `source` the output must start, if it may lie there at all."""
        target = self.facts.graph.ops[number].outputs[output]
        starts = self.contents.starts
        if starts[target][0] == starts[source.root][0]:
            return None
        share = self.facts.share(number, source.inside, output)
        split = split or any(self.facts.graph.tensors[t].nbytes > source.size for t in source.inside)
        if share is None or (share.mode == "exact" and (split or share.distance)):
            return None
        return share if share.distance >= 0 else Share(share.mode, 0, share.scratch)


def _shown_by_witness(facts: Facts, keeping: Keeping) -> int:
    """What the witness shows: the bytes the caller writes, its operator's footprint in the order, or its least cut."""
    witness = facts.plan.witness
    if witness == -1:
        return keeping.loaded
    if not 0 <= witness < len(facts.graph.ops):
        return 0
    if facts.plan.schedule == "as-is":
        return facts.plan.footprints[facts.plan.order.index(witness)]
    return _least_footprint(facts, keeping, witness)


def _least_footprint(facts: Facts, keeping: Keeping, number: int) -> int:
    before = {op: facts.before(op) for op in range(len(facts.graph.ops))}
    after: dict[int, set[int]] = {}
    for op, others in before.items():
        for other in others:
            after.setdefault(other, set()).add(op)
    inside, outside = _closure(before, {number}) - {number}, _closure(after, {number})
    sources = [source for source in keeping.dying(set(before) - outside, number) if keeping.saved(number, [source])]
    every = list(chain.from_iterable(combinations(sources, count) for count in range(len(sources) + 1)))
    own = sum(family.size for family in keeping.families if family.writer == number)
    own += sum(facts.padded(size) for size in facts.asked[number])
    if len(sources) > _MANY_SOURCES:
        return _least_kept(keeping, before, inside, outside) + own - keeping.saved(number, sources)
    found = []
    for dying in every:
        forced = {reader for source in dying for reader in source.readers} - {number}
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


def _least_kept(keeping: Keeping, before: dict[int, set[int]], inside: set[int], outside: set[int]) -> int:
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


def _replay(facts: Facts, keeping: Keeping, bound: int) -> bool:
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
