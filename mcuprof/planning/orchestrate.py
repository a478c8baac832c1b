"""From a model and a firmware to a file that may be written: refuse, choose, prove."""

from __future__ import annotations

from dataclasses import dataclass

from mcuprof import memory
from mcuprof.errors import ModelError
from mcuprof.graph import Graph
from mcuprof.memory import MemoryPlan
from mcuprof.ops.soundness import NPU, defects
from mcuprof.ops.traversal import reference_walk
from mcuprof.planning.choice import Candidate, Firmware, Wishes, best, candidates
from mcuprof.planning.interpreter import INPUTS, interpreted
from mcuprof.planning.proof import Step, checked, executed, read_back
from mcuprof.progress import Say, silent
from mcuprof.runtimes import Arena
from mcuprof.runtimes.tflm.overlap import rules, walk
from mcuprof.runtimes.tflm.support import refusal


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """The outcome for one model. `data` is what to write: as before, and `plan` None, when TFLM's own plan is as good.

    `before` and `after` are the arenas of the firmware without and with the plan; `kernels` names the rules that the
    plan relies on (empty when no bytes are shared), `sharing` counts operators whose output lies on an input, `moved`
    operators that change their place; `steps` is the proof.
    """

    graph: Graph
    data: bytes
    plan: MemoryPlan | None
    before: Arena
    after: Arena
    kernels: str
    sharing: int
    moved: int
    steps: tuple[Step, ...]


def plan_tflite(
    graph: Graph,
    data: bytes,
    firmware: Firmware,
    wishes: Wishes | None = None,
    say: Say = silent,
    inputs: int = INPUTS,
) -> Planned:
    """The best proven plan for `graph`, which is what the reader made of `data`, a file without a plan.

    `inputs` is how many random inputs TFLM's own interpreter gets. `say` is told of the progress.
    Raises ModelError for a model that the runtime cannot run or plan without doubt, PlanError for a plan that does not
    stand its proof (nothing should then be written), UsageError for kernels that do not exist.
    """
    before = firmware.arena(graph)
    refuse(graph, before, firmware)
    found = candidates(graph, data, firmware, wishes or Wishes())
    chosen = best(found)
    if chosen.head_bytes >= before.head_bytes:
        return Planned(graph, data, None, before, before, "", 0, 0, ())
    steps = _prove(graph, data, firmware, chosen, found, say, inputs)
    shared = overlaps(graph, chosen.plan)
    return Planned(
        graph,
        chosen.data,
        chosen.plan,
        before,
        chosen.arena,
        chosen.rules.name if shared else "",
        shared,
        sum(position != number for position, number in enumerate(chosen.plan.order)),
        tuple(steps),
    )


def plan_onnx(graph: Graph, wishes: Wishes, firmware: Firmware, say: Say = silent) -> tuple[MemoryPlan, list[Step]]:
    """Order and offsets for a runtime that is not TFLM: no scratch, tensors only. Raises as `plan_tflite`."""
    allowed = rules(firmware.library, firmware.core)
    plan = memory.plan(
        graph,
        "optimal" if wishes.order == "optimal" else "as-is",
        wishes.in_place,
        sharing=allowed,
        limit=wishes.effort,
    )
    steps = [checked(graph, plan, allowed, [[] for _ in graph.ops])]
    steps.append(executed(graph, plan, walk(firmware.library, firmware.core), say))
    return plan, steps


def overlaps(graph: Graph, plan: MemoryPlan) -> int:
    """How many operators write an output over bytes of one of their inputs."""
    return sum(any(_meet(graph, plan, x, y) for x in op.inputs for y in op.outputs) for op in graph.ops)


def _meet(graph: Graph, plan: MemoryPlan, x: int, y: int) -> bool:
    first, second = (plan.offsets[tensor] if tensor >= 0 else None for tensor in (x, y))
    if first is None or second is None:
        return False
    return first < second + graph.tensors[y].nbytes and second < first + graph.tensors[x].nbytes


def refuse(graph: Graph, arena: Arena, firmware: Firmware) -> None:
    """Raises ModelError where the runtime cannot run the model, or it is not certain what it makes of a plan."""
    if graph.subgraphs:
        raise ModelError(
            f"has {len(graph.subgraphs) + 1} subgraphs: runtimes disagree on how an offline plan counts their tensors"
        )
    for number, op in enumerate(graph.ops):
        if op.kind == NPU:
            raise ModelError(f"operator {number} was compiled for an Ethos-U: its compiler has planned the memory")
        if reason := refusal(graph, op):
            raise ModelError(f"TFLM cannot run operator {number} ({op.kind}): {reason}")
    for defect in defects(graph):
        if defect.fatal:
            raise ModelError(defect.message)
    if arena.inexact:
        kinds = ", ".join(arena.inexact)
        raise ModelError(f"no data on what the {firmware.library} kernels of {kinds} allocate: no plan could be exact")


def _prove(
    graph: Graph,
    data: bytes,
    firmware: Firmware,
    chosen: Candidate,
    found: list[Candidate],
    say: Say,
    inputs: int,
) -> list[Step]:
    scratch = firmware.arena(graph).scratch(len(graph.ops))
    order = reference_walk if chosen.rules.portable else walk(firmware.library, firmware.core)
    steps = [
        checked(graph, chosen.plan, chosen.rules, scratch),
        read_back(graph, data, chosen),
        executed(graph, chosen.plan, order, say),
    ]
    subject = chosen
    if not chosen.rules.portable:
        # The interpreter here has the reference kernels only: it runs the best plan that they tolerate.
        subject = best([one for one in found if one.rules.portable and one.plan.schedule == chosen.plan.schedule])
        difference = subject.head_bytes - chosen.head_bytes
        steps.append(Step(f"relies on the read order of {chosen.rules.name} beyond the reference's for {difference} B"))
    step = interpreted(graph, data, subject.graph, subject.data, say, inputs)
    if subject is not chosen and step.executed:
        step = Step(f"a twin that the reference kernels tolerate too was {step.text}")
    steps.append(step)
    if not any(step.executed for step in steps):
        reasons = "; ".join(step.text for step in steps[2:])
        raise ModelError(f"the plan could not be executed, so it is not written: {reasons}")
    return steps
