"""The inputs of a verification in parts, which processes can share: the result is the same for any number of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from mcuprof.errors import McuprofError, ModelError, PlanError
from mcuprof.graph import Graph
from mcuprof.ops.kernel import Array
from mcuprof.ops.traversal import Walk
from mcuprof.runner.arena import Arena, Plan
from mcuprof.runner.compare import Comparison, Tally
from mcuprof.runner.oracles import open_oracle
from mcuprof.runner.program import Program, evaluate
from mcuprof.runner.twin import LayerNoise, Noise, Twin, noisiest_first, open_twin

Progress = Callable[[int, int], None]
_PARTS_PER_JOB = 16  # so that no process is left with much more than the others


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is asked of `verify`: the inputs by tensor index, and everything that they are run on."""

    program: Program
    sets: Sequence[Mapping[int, Array]]
    expected: Sequence[Mapping[int, Array]]
    plan: Plan | None
    walk: Walk
    against: str | None
    reference: Graph | None

    @property
    def graph(self) -> Graph:
        """The model."""
        return self.program.graph


@dataclass(slots=True)
class Part:
    """What some of the inputs have shown, in their order."""

    in_plan: Tally = field(default_factory=Tally)
    outside: Tally = field(default_factory=Tally)
    plan_error: str | None = None
    noise: list[Noise] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Whole:
    """What all inputs have shown; `reference` says by which kernels the float twin was run."""

    in_plan: Comparison
    outside: Comparison
    plan_error: str | None
    layers: tuple[LayerNoise, ...]
    reference: str | None


def run_parts(task: Task, jobs: int, progress: Progress) -> Whole:
    """Runs every input, in `jobs` processes where the system can fork, and calls `progress(done, total)`."""
    total = len(task.sets)
    twin = None if task.reference is None else open_twin(task.graph, task.reference)
    if jobs <= 1 or total <= 1 or not hasattr(os, "fork"):
        worker = _Worker(task, twin)
        parts = (worker.part(range(number, number + 1)) for number in range(total))
        sizes = [1] * total
        whole = _together(parts, sizes, progress)
    else:
        size = max(1, -(-total // (jobs * _PARTS_PER_JOB)))
        pieces = [range(start, min(start + size, total)) for start in range(0, total, size)]
        with closing(_forked(task, twin, pieces, jobs)) as forked:
            whole = _together(forked, [len(piece) for piece in pieces], progress)
    layers = () if twin is None else noisiest_first(twin, whole.noise)
    graph = task.graph
    in_plan, outside = Comparison(graph, whole.in_plan), Comparison(graph, whole.outside)
    return Whole(in_plan, outside, whole.plan_error, layers, None if twin is None else twin.runtime)


def _together(parts: Iterable[Part], sizes: Sequence[int], progress: Progress) -> Part:
    """The parts one after the other. After the first break of the plan nothing is executed in it any more."""
    whole = Part()
    done, total = 0, sum(sizes)
    for part, size in zip(parts, sizes, strict=True):
        if whole.plan_error is None:
            whole.in_plan.merge(part.in_plan)
            whole.plan_error = part.plan_error
        whole.outside.merge(part.outside)
        whole.noise += part.noise
        done += size
        progress(done, total)
    return whole


class _Worker:
    """What the inputs are run on, and the state that goes from one to the next."""

    def __init__(self, task: Task, twin: Twin | None) -> None:
        self.task, self.twin = task, twin
        self.program = task.program
        self.oracle = open_oracle(task.against, task.graph) if task.against else None
        self.plain_state, self.arena_state = self.program.initial_state(), self.program.initial_state()
        self.arena: Arena | None = None
        self.broken = False

    def part(self, numbers: range) -> Part:
        """What these inputs show."""
        task, found = self.task, Part()
        in_plan, outside = Comparison(task.graph, found.in_plan), Comparison(task.graph, found.outside)
        for number in numbers:
            given = task.sets[number]
            ours = evaluate(self.program, given, self.plain_state)
            if task.plan is not None and not self.broken and not self.program.missing:
                try:
                    self.arena = self.arena or Arena(self.program, task.plan, task.walk)
                    in_plan.add(self.arena.run(given, self.arena_state, number), ours)
                except PlanError as error:
                    found.plan_error, self.broken = str(error), True
            if self.oracle is not None:
                outside.add(ours, self.oracle.run(given))
            if number < len(task.expected):
                outside.add(ours, task.expected[number])
            if self.twin is not None:
                found.noise.append(self.twin.noise(given, ours))
        return found


# Processes ------------------------------------------------------------------------------------------------------------

_FORKED: list[_Worker] = []  # a forked process finds its worker here; the parent leaves nothing behind


def _forked(task: Task, twin: Twin | None, pieces: Sequence[range], jobs: int) -> Generator[Part, None, None]:
    """The parts in their order, from processes that inherit the model instead of being sent it."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    context: Any = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(min(jobs, len(pieces)), context, _begin, (task, None if twin is None else twin.graphs))
    try:
        yield from _raised(pool.map(_work, pieces))
    except BrokenProcessPool:
        raise ModelError("a process that ran some of the inputs died (out of memory?): try fewer --jobs") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _raised(answers: Iterator[Part | McuprofError]) -> Iterator[Part]:
    for answer in answers:
        if isinstance(answer, McuprofError):
            raise answer
        yield answer


def _begin(task: Task, twin: tuple[Graph, Graph] | None) -> None:
    _FORKED[:] = [_Worker(task, None if twin is None else open_twin(*twin))]


def _work(numbers: range) -> Part | McuprofError:
    try:
        return _FORKED[0].part(numbers)
    except McuprofError as error:
        return error
