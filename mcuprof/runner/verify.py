"""Does the model give the bytes it should: in its memory plan, against another runtime, against expected outputs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcuprof.graph import Graph
from mcuprof.ops import keeps_state
from mcuprof.ops.kernel import Array
from mcuprof.ops.traversal import Walk, reference_walk
from mcuprof.runner.arena import Plan
from mcuprof.runner.compare import FLOAT_TOLERANCE, TensorDifference
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.parts import Progress, Task, run_parts
from mcuprof.runner.program import prepare
from mcuprof.runner.twin import LayerNoise


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `missing` lists operators without a kernel (index, kind, why); what follows them is not compared.

    `plan_error` is the first thing the plan broke, None when it held or none was given; `in_plan` compares execution in
    the plan with execution on plain arrays; `against` compares with another runtime or with expected outputs. `layers`
    are those of the float twin, the noisiest first, as `reference` has run it.
    """

    inputs: int
    missing: tuple[tuple[int, str, str], ...]
    planned: bool
    plan_error: str | None
    in_plan: tuple[TensorDifference, ...]
    runtime: str | None
    against: tuple[TensorDifference, ...]
    max_lsb: int
    layers: tuple[LayerNoise, ...] = ()
    reference: str | None = None

    @property
    def first(self) -> TensorDifference | None:
        """The first tensor, in execution order, that differs by more than is allowed."""
        return next((entry for entry in (*self.in_plan, *self.against) if self.exceeds(entry)), None)

    @property
    def explanation(self) -> str:
        """Which rule of rounding explains the first difference; empty when nothing differs."""
        if self.first is None:
            return ""
        return explain(self.first, self.runtime)

    @property
    def passed(self) -> bool:
        """True when the plan held, everything could be executed, and nothing differs by more than is allowed."""
        return self.plan_error is None and not self.missing and self.first is None

    def exceeds(self, entry: TensorDifference) -> bool:
        """Beyond `max_lsb`; for floats beyond the rounding of math libraries."""
        return entry.largest > (max(self.max_lsb, FLOAT_TOLERANCE) if entry.is_float else self.max_lsb)


def verify(
    graph: Graph,
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    inputs: Sequence[Mapping[int, Array]] = (),
    expected: Sequence[Mapping[int, Array]] = (),
    plan: Plan | None = None,
    walk: Walk = reference_walk,
    against: str | None = None,
    reference: Graph | None = None,
    max_lsb: int = 0,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Verification:
    """Runs the model on `inputs` (by tensor index), or on random ones of these `seeds`, and compares.

    `plan`: also inside this plan, which must give equal tensors; `walk` is the order in which its kernels read and
    write. `against`: `tflm`, `litert` or `onnxruntime`, on every tensor. `expected`: outputs by tensor index, one
    mapping per input. `reference`: the float model that this one was quantized from; layers get their noise.

    State is kept from one input to the next, as on the device, so models that keep state run in one process; the inputs
    of others are shared among `jobs`, with equal results for any number. `progress(done, total)` is called now and
    then. Raises UsageError for a runtime that cannot be used or a reference that is no twin.
    """
    sets = list(inputs) or [random_inputs(graph, seed) for seed in seeds]
    program = prepare(graph)
    task = Task(program, sets, list(expected), plan, walk, against, reference)
    missing = tuple((index, graph.ops[index].kind, reason) for index, reason in sorted(program.missing.items()))
    stateful = _is_stateful(graph) or (reference is not None and _is_stateful(reference))
    found = run_parts(task, 1 if stateful else jobs, progress or (lambda done, total: None))
    return Verification(
        inputs=len(sets),
        missing=missing,
        planned=plan is not None,
        plan_error=found.plan_error,
        in_plan=found.in_plan.result(),
        runtime=against,
        against=found.outside.result(),
        max_lsb=max_lsb,
        layers=found.layers,
        reference=found.reference,
    )


def _is_stateful(graph: Graph) -> bool:
    """True where an inference may hang on the ones before it."""
    keeping = any(op.kind == "VAR_HANDLE" or keeps_state(op) for op in graph.ops)
    return keeping or any(tensor.variable for tensor in graph.tensors) or bool(graph.subgraphs)


_ONCE = "LiteRT rounds the scaled sum once, TFLM twice (high product, then right shift)"
_RULES: Mapping[str, Mapping[str, str]] = {
    "litert": {
        "FULLY_CONNECTED": _ONCE,
        "BATCH_MATMUL": _ONCE,
        "UNIDIRECTIONAL_SEQUENCE_LSTM": "LiteRT's gates round once, TFLM's twice",
        "SVDF": "LiteRT and TFLM form the effective scales in different precision",
    },
    "onnxruntime": {
        "": "ONNX Runtime scales in float32 and rounds halves to even; a QDQ island also rounds its float sums",
    },
}


def explain(entry: TensorDifference, runtime: str | None) -> str:
    """The rule by which the two sides differ at this operator, where one is known and the difference is of its size."""
    rules = _RULES.get(runtime or "", {})
    rule = rules.get(entry.kind, rules.get("", ""))
    if entry.is_float:
        return "float operators: another order of additions or another math library"
    if rule and entry.largest <= 1:
        return rule
    return "no rounding rule explains it: one of the two kernels is wrong, or the operators have different options"
