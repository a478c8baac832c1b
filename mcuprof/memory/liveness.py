"""Lifetimes and footprints of one order: what must be in the arena while each operator runs.

Orders are tuples of steps, the caller's step 0 first. Lifetimes are positions in the order, first to last inclusive.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from mcuprof.memory.problem import Problem, Step

Lifetime = tuple[int, int]


def lifetimes(problem: Problem, order: Sequence[int]) -> list[Lifetime]:
    """First and last position of each buffer: from its producer to its last reader, or to the end when it leaves."""
    position = {step: number for number, step in enumerate(order)}
    end = len(order) - 1
    return [
        (
            position[buffer.producer],
            end if buffer.leaves else max(position[step] for step in (buffer.producer, *buffer.consumers)),
        )
        for buffer in problem.buffers
    ]


def saved_bytes(problem: Problem, step: Step, dying: Container[int]) -> int:
    """The most bytes that `step` can save by overlays when the buffers in `dying` die at it.

    The target of an overlay covers its sources only above the smallest distance, inputs are disjoint from each other,
    and so are outputs; a target that must start where its source starts takes one source. Grows with `dying`.
    """
    total = 0
    sources: set[int] = set()
    for output in dict.fromkeys(overlay.output for overlay in step.overlays):
        usable = {item.source: item for item in step.overlays if item.output == output and item.source in dying}
        if not usable:
            continue
        sources |= usable.keys()
        covered = [
            min(problem.buffers[source].bytes, item.written - item.lead) - item.scratch
            for source, item in usable.items()
        ]
        room = max(item.written - item.lead for item in usable.values())
        total += max(covered) if all(item.exact for item in usable.values()) else min(room, sum(covered))
    return min(total, sum(problem.buffers[source].bytes for source in sources))


def footprints(problem: Problem, order: Sequence[int]) -> list[int]:
    """Least bytes in use at each position of `order`, scratch included and every possible overlay taken.

    No placement can use less at any position, so the largest is a lower bound on the arena for this order.
    """
    spans = lifetimes(problem, order)
    change = [0] * (len(order) + 1)
    dying: list[set[int]] = [set() for _ in order]
    for number, (buffer, (first, last)) in enumerate(zip(problem.buffers, spans, strict=True)):
        change[first] += buffer.bytes
        change[last + 1] -= buffer.bytes
        if not buffer.leaves:
            dying[last].add(number)
    live, found = 0, []
    for position, number in enumerate(order):
        step = problem.steps[number]
        live += change[position]
        found.append(live + sum(step.scratch) - saved_bytes(problem, step, dying[position]))
    return found


def peak(problem: Problem, order: Sequence[int]) -> int:
    """The largest footprint of `order`, in bytes."""
    return max(footprints(problem, order))
