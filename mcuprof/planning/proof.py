"""What must hold before a planned file is written; each step is independent of the code that made the plan."""

from __future__ import annotations

from dataclasses import dataclass

from mcuprof.errors import PlanError
from mcuprof.graph import Graph, Op, Tensor
from mcuprof.memory import MemoryPlan, Sharing, check
from mcuprof.ops.traversal import Walk
from mcuprof.planning.choice import Candidate
from mcuprof.progress import Say
from mcuprof.runner.arena import Arena
from mcuprof.runner.compare import Comparison
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.program import evaluate, prepare
from mcuprof.writers.tflite import strip

RUNNER_INPUTS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done to prove a plan: what it says, and whether the plan was really executed."""

    text: str
    executed: bool = False


def checked(graph: Graph, plan: MemoryPlan, sharing: Sharing, scratch: list[list[int]]) -> Step:
    """The independent checker finds nothing wrong. Raises PlanError."""
    if wrong := check(graph, plan, sharing=sharing, scratch=scratch):
        raise PlanError(f"the checker rejects the plan: {wrong[0].message}")
    return Step("checked: order, lifetimes, every pair of tensors that share bytes")


def read_back(graph: Graph, data: bytes, candidate: Candidate) -> Step:
    """The written file holds the same network, gives the old one back, and TFLM's planner makes of it what was meant.

    `data` is the file before. Raises PlanError.
    """
    plan, found = candidate.plan, candidate.graph
    if strip(candidate.data) != data:
        raise PlanError("the file before the plan cannot be had back from the file after")
    for before, after in zip(graph.tensors, found.tensors, strict=True):
        if _told(before) != _told(after) or before.data != after.data:
            raise PlanError(f"tensor {before.name!r} is not the same in the written file")
    for position, number in enumerate(plan.order):
        before_op, after_op = graph.ops[number], found.ops[position]
        if _told_op(before_op) != _told_op(after_op):
            raise PlanError(f"operator {number} ({before_op.kind}) is not the same in the written file")
    placed = {
        request.tensor: offset
        for request, offset in zip(candidate.arena.requests, candidate.arena.offsets, strict=True)
        if request.tensor is not None
    }
    for tensor, offset in enumerate(plan.offsets):
        if offset is not None and placed.get(tensor) != offset:
            raise PlanError(f"the runtime places tensor {graph.tensors[tensor].name!r} at {placed.get(tensor)}")
    return Step(f"read back: same network, TFLM's planner gives a head of {candidate.head_bytes:,} B")


def _told(tensor: Tensor) -> tuple[object, ...]:
    """All but the content; numbers as text, for a NaN is not equal to itself."""
    return tensor.name, tensor.shape, tensor.dtype, repr(tensor.quantization), tensor.variable


def _told_op(op: Op) -> tuple[object, ...]:
    return op.kind, op.inputs, op.outputs, sorted((name, repr(value)) for name, value in op.attributes.items())


def executed(graph: Graph, plan: MemoryPlan, walk: Walk, say: Say) -> Step:
    """Integer kernels run inside the arena, dead bytes poisoned, and give what they give outside of it.

    `walk` is the order in which the firmware's kernels read and write. Raises PlanError.
    """
    program = prepare(graph)
    if program.missing:
        index, reason = min(program.missing.items())
        return Step(f"not executed in mcuprof's own arena: operator {index} ({graph.ops[index].kind}): {reason}")
    arena = Arena(program, plan, walk)
    state, planned_state = program.initial_state(), program.initial_state()
    comparison = Comparison(graph)
    for seed in range(RUNNER_INPUTS):
        say(f"executing the plan, input {seed + 1} of {RUNNER_INPUTS}")
        inputs = random_inputs(graph, seed)
        inside = arena.run(inputs, planned_state, seed)
        comparison.add(inside, evaluate(program, inputs, state))
    different = next((entry for entry in comparison.result() if entry.different), None)
    if different is not None:
        raise PlanError(f"executed inside the plan, tensor {different.name!r} differs")
    count = len(comparison.result())
    return Step(
        f"executed in mcuprof's arena, dead bytes poisoned: {RUNNER_INPUTS} inputs, {count} tensors equal", True
    )
