"""A model without what no output needs: simplified, written anew and proven against the file that was given.

A plan is then made for the smaller file. Where nothing goes, or the file cannot be written without loss, the model
stays as it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from mcuprof.errors import PlanError
from mcuprof.graph import Graph
from mcuprof.planning.choice import Firmware, Wishes
from mcuprof.planning.interpreter import INPUTS, interpreted
from mcuprof.planning.orchestrate import Planned, plan_tflite, refuse
from mcuprof.planning.proof import RUNNER_INPUTS, Step
from mcuprof.planning.rewriting import loss, rewritten
from mcuprof.progress import Say, silent
from mcuprof.rewrites import Summary, prune
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.program import evaluate, prepare


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """The smaller model: `data` is its file, `graph` what the reader makes of it, `summary` what went."""

    graph: Graph
    data: bytes
    summary: Summary
    file_bytes: tuple[int, int]
    steps: tuple[Step, ...]


def prune_tflite(
    graph: Graph, data: bytes, firmware: Firmware, say: Say = silent, inputs: int = INPUTS
) -> Pruned | None:
    """`graph` (what the reader made of `data`, a file without a plan) without dead channels and the like, proven.

    None where nothing would get smaller, where nothing could execute the proof, and where something of the user's would
    be lost: what cannot be written, and files (labels) packed behind the model. Signatures go: TFLM does not read them.
    Raises ModelError for a model that TFLM cannot run and PlanError where any tensor differs; nothing should then be
    written.
    """
    refuse(graph, firmware.arena(graph), firmware)
    if loss(graph, data):
        return None
    smaller, summary = prune(graph)
    if not summary.changed:
        return None
    found, written = rewritten(smaller)
    if not any(after < before for before, after in (summary.macs, summary.activation_bytes, (len(data), len(written)))):
        return None
    same = survivors(graph, found)
    steps = (_executed(graph, found, same, say), interpreted(graph, data, found, written, say, inputs, same))
    if not any(step.executed for step in steps):
        return None
    return Pruned(found, written, summary, (len(data), len(written)), steps)


def plan_pruned(
    graph: Graph, data: bytes, firmware: Firmware, wishes: Wishes, say: Say = silent, inputs: int = INPUTS
) -> tuple[Planned, Pruned | None]:
    """The best proven plan for the pruned model, or for the model as it is where none needs less. Raises as its parts.

    `before` of the result is the arena of the model as it was given.
    """
    pruned = prune_tflite(graph, data, firmware, say, inputs)
    if pruned is None:
        return plan_tflite(graph, data, firmware, wishes, say, inputs), None
    planned = plan_tflite(pruned.graph, pruned.data, firmware, wishes, say, inputs)
    before = firmware.arena(graph)
    if planned.after.min_arena_bytes > before.min_arena_bytes:
        return plan_tflite(graph, data, firmware, wishes, say, inputs), None
    return replace(planned, before=before, steps=(*pruned.steps, *planned.steps)), pruned


def survivors(before: Graph, after: Graph) -> dict[int, int]:
    """Computed tensors of `after` to those of `before` that they must equal.

    Outputs correspond by place, others by name and shape. A name that is not alone in its graph says nothing.
    """
    old, new = _named(before), _named(after)
    same = {
        index: old[name]
        for name, index in new.items()
        if name in old and after.tensors[index].shape == before.tensors[old[name]].shape
    }
    return same | dict(zip(after.outputs, before.outputs, strict=True))


def _named(graph: Graph) -> dict[str, int]:
    count = Counter(graph.tensors[index].name for index in graph.producer)
    return {name: index for index in graph.producer if count[name := graph.tensors[index].name] == 1}


def _executed(before: Graph, after: Graph, same: dict[int, int], say: Say) -> Step:
    """Both run with mcuprof's kernels; raises PlanError where a tensor that stayed whole differs."""
    programs = prepare(before), prepare(after)
    for graph, program in zip((before, after), programs, strict=True):
        if program.missing:
            index, reason = min(program.missing.items())
            return Step(f"pruned model not executed by mcuprof: operator {index} ({graph.ops[index].kind}): {reason}")
    states = [program.initial_state() for program in programs]
    for seed in range(RUNNER_INPUTS):
        say(f"executing the pruned model, input {seed + 1} of {RUNNER_INPUTS}")
        given = random_inputs(before, seed)
        moved = {new: given[old] for new, old in zip(after.inputs, before.inputs, strict=True)}
        expected = evaluate(programs[0], given, states[0])
        found = evaluate(programs[1], moved, states[1])
        for new, old in same.items():
            if found[new].tobytes() != expected[old].tobytes():
                raise PlanError(f"in the pruned model, tensor {after.tensors[new].name!r} differs")
    return Step(f"pruned model executed by mcuprof: {RUNNER_INPUTS} inputs, {len(same)} tensors equal", True)
