"""From a model, a firmware and limits to a split file that may be written: simplify, search, choose, prove."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcuprof.errors import ModelError, PlanError
from mcuprof.graph import Graph
from mcuprof.memory import MemoryPlan
from mcuprof.ops import total_macs
from mcuprof.planning.choice import Candidate, Firmware, Wishes
from mcuprof.planning.interpreter import INPUTS, interpreted
from mcuprof.planning.orchestrate import Planned, plan_tflite, refuse
from mcuprof.planning.proof import Step, checked, executed, read_back
from mcuprof.planning.rewriting import loss, rewritten
from mcuprof.planning.splitting import Point, Splitter, front_points, resolver_additions, written
from mcuprof.progress import Say, silent
from mcuprof.readers.tflite import read_tflite
from mcuprof.rewrites import simplify
from mcuprof.rewrites.split import prove
from mcuprof.runtimes import Arena
from mcuprof.runtimes.tflm.overlap import walk
from mcuprof.runtimes.tflm.support import refusal
from mcuprof.units import format_bytes

DEFAULT_WORK = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked of a split: an arena of at most `ram` bytes with the least work, or the smallest arena for `work`.

    `work` is a fraction of the MACs of the model as given; with both, the least work that fits, and at most so much.
    """

    ram: int | None = None
    work: float | None = None

    @property
    def most_work(self) -> float | None:
        """None where any work is allowed: a limit on RAM alone."""
        return DEFAULT_WORK if self.ram is None and self.work is None else self.work


@dataclass(frozen=True, slots=True, eq=False)
class SplitPlanned:
    """The outcome. `point` is the split that `data` holds; None where not to split is as good, and `whole` says how.

    `graph` is the model as it was, `base` what was split (the model simplified), `before` the arena today. `front` are
    the points to choose from, `added` the operator kinds that the firmware's resolver needs now.
    """

    graph: Graph
    base: Graph
    data: bytes
    point: Point | None
    whole: Planned
    before: Arena
    after: Arena
    front: tuple[Point, ...]
    added: tuple[str, ...]
    steps: tuple[Step, ...]


def split_tflite(
    graph: Graph,
    data: bytes,
    firmware: Firmware,
    wishes: Wishes | None = None,
    limits: Limits | None = None,
    say: Say = silent,
    inputs: int = INPUTS,
) -> SplitPlanned:
    """The split of `graph` (what the reader made of `data`, a file without a plan) that the limits ask for, proven.

    Raises ModelError for a model that TFLM cannot run, or that cannot be written anew; PlanError where no split reaches
    the limits, or one does not stand its proof. Nothing should then be written.
    """
    wishes, limits = wishes or Wishes(), limits or Limits()
    before = firmware.arena(graph)
    refuse(graph, before, firmware)
    if reason := loss(graph, data):
        raise ModelError(f"cannot be split: {reason}")
    base = simplify(graph)
    base, base_data = (graph, data) if base is graph else rewritten(base)
    whole = plan_tflite(base, base_data, firmware, wishes, say, inputs)
    splitter = Splitter(base, firmware, wishes, say, total_macs(graph))
    front = tuple(front_points(splitter, limits.most_work))
    point = chosen(front, whole.after.min_arena_bytes, limits, splitter)
    if point is None:
        steps = whole.steps
        if base is not graph:
            steps = (*steps, *_original(graph, data, whole.data, say, inputs))
        return SplitPlanned(graph, base, whole.data, None, whole, before, whole.after, front, (), steps)
    plain, planned = written(point)
    steps = tuple(prove_split((graph, data), (base, base_data), point, (plain, planned), firmware, say, inputs))
    added = resolver_additions(graph, point.split.graph)
    return SplitPlanned(graph, base, planned, point, whole, before, point.arena, front, added, steps)


def split_front(graph: Graph, firmware: Firmware, wishes: Wishes, say: Say = silent) -> tuple[Point, ...]:
    """What there is to choose from, without any limit; nothing is proven or written. Raises ModelError."""
    refuse(graph, firmware.arena(graph), firmware)
    return tuple(front_points(Splitter(simplify(graph), firmware, wishes, say, total_macs(graph))))


def chosen(front: tuple[Point, ...], unsplit: int, limits: Limits, splitter: Splitter) -> Point | None:
    """The point that the limits ask for; None for not to split, which takes `unsplit` bytes.

    Raises PlanError where nothing fits.
    """
    smaller = [point for point in front if point.bytes < unsplit and point.choice.options]
    if limits.ram is None:
        return min(smaller, key=lambda point: (point.bytes, point.work), default=None)
    if unsplit <= limits.ram:
        return None
    fitting = [point for point in smaller if point.bytes <= limits.ram]
    if fitting:
        return min(fitting, key=lambda point: (point.work, point.bytes))
    least = min(smaller, key=lambda point: point.bytes, default=None)
    raise PlanError(_unreached(limits, least, unsplit, splitter))


def _unreached(limits: Limits, least: Point | None, unsplit: int, splitter: Splitter) -> str:
    """What can be reached, and what binds it."""
    assert limits.ram is not None
    within = f" within {100 * limits.work:g} % more work" if limits.work is not None else ""
    best = f"nothing found fits {format_bytes(limits.ram)}{within}: the smallest arena is "
    if least is None:
        return f"{best}{format_bytes(unsplit)}, without a split (no region saves anything)"
    plan, graph = least.plan, least.split.graph
    number = plan.order[plan.peak_position]
    tail = least.arena.tail.nbytes
    return (
        f"{best}{format_bytes(least.bytes)} at {100 * least.work:+.1f} % work; bound by "
        f"{least.arena.head_bytes:,} B in use at operator {number} ({graph.ops[number].kind})"
        + (f" and {tail:,} B that the interpreter keeps" if tail else "")
    )


def prove_split(
    model: tuple[Graph, bytes],
    based: tuple[Graph, bytes],
    point: Point,
    files: tuple[bytes, bytes],
    firmware: Firmware,
    say: Say,
    inputs: int = INPUTS,
) -> list[Step]:
    """All that must hold before a split is written: graph and file of the model, of its simplified form, and the files
    without and with the plan (`splitting.written`). Raises PlanError, or ModelError where nothing could execute it.
    """
    (graph, data), (base, base_data), (plain, planned) = model, based, files
    say("proving rows")
    rows = prove(base, point.split)
    made = point.split.graph
    for number, op in enumerate(made.ops):
        if reason := refusal(made, op):
            raise PlanError(f"TFLM cannot run operator {number} ({op.kind}) of the split: {reason}")
    scratch = firmware.arena(made).scratch(len(made.ops))
    found = read_tflite(planned, {})
    candidate = Candidate(point.plan, point.allowed, planned, found, firmware.arena(found))
    obeyed = _as_placed(point.plan, candidate.arena)
    steps = [
        Step(f"rows: {rows:,} rows of stripes read what the original's rows read"),
        checked(made, obeyed, point.allowed, scratch),
        read_back(made, plain, candidate),
        executed(made, obeyed, walk(firmware.library, firmware.core), say),
    ]
    steps.append(interpreted(base, base_data, found, planned, say, inputs, point.split.tensors))
    if base is not graph:
        steps += _original(graph, data, planned, say, inputs)
    if not any(step.executed for step in steps):
        raise ModelError("the split could not be executed, so it is not written")
    return steps


def _as_placed(plan: MemoryPlan, arena: Arena) -> MemoryPlan:
    """The plan with scratch where TFLM's planner puts it, which knows tensors, not rows: that is what must be safe."""
    blocks: list[list[tuple[int, int]]] = [[] for _ in plan.order]
    for request, offset in zip(arena.requests, arena.offsets, strict=True):
        if request.op is not None:
            blocks[plan.order[request.op]].append((offset, request.nbytes))
    return replace(plan, scratch=tuple(map(tuple, blocks)), arena_bytes=arena.head_bytes)


def _original(graph: Graph, data: bytes, planned: bytes, say: Say, inputs: int) -> list[Step]:
    """The outputs of the very model that was given, before anything was simplified."""
    found = read_tflite(planned, {})
    outputs = dict(zip(found.outputs, graph.outputs, strict=True))
    step = interpreted(graph, data, found, planned, say, inputs, outputs)
    return [Step(f"against the model as it was: {step.text}", step.executed)]
