"""Does the model give the bytes it should: in its memory plan, against another runtime, against expected outputs?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mcuprof.errors import PlanError
from mcuprof.graph import Graph
from mcuprof.ops.kernel import Array
from mcuprof.runner.arena import Arena, Plan
from mcuprof.runner.compare import FLOAT_TOLERANCE, Comparison, TensorDifference
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.oracles import open_oracle
from mcuprof.runner.program import evaluate, prepare

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `missing` lists operators without a kernel (index, kind, why); what follows them is not compared.

    `plan_error` is the first thing the plan broke, None when it held or none was given; `in_plan` compares execution in
    the plan with execution on plain arrays; `against` compares with another runtime or with expected outputs.
    """

    inputs: int
    missing: tuple[tuple[int, str, str], ...]
    planned: bool
    plan_error: str | None
    in_plan: tuple[TensorDifference, ...]
    runtime: str | None
    against: tuple[TensorDifference, ...]
    max_lsb: int

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
    against: str | None = None,
    max_lsb: int = 0,
    progress: Progress | None = None,
) -> Verification:
    """Runs the model on `inputs` (by tensor index), or on random ones of these `seeds`, and compares.

    `plan`: also inside this plan, which must give equal tensors. `against`: `tflm`, `litert` or `onnxruntime`, on every
    tensor. `expected`: outputs by tensor index, one mapping per input. State is kept from one input to the next, as on
    the device. `progress(done, total)` is called after each input. Raises UsageError for a runtime that cannot be used.
    """
    program = prepare(graph)
    oracle = open_oracle(against, graph) if against else None
    missing = tuple((index, graph.ops[index].kind, reason) for index, reason in sorted(program.missing.items()))
    sets = list(inputs) or [random_inputs(graph, seed) for seed in seeds]
    plain_state, arena_state = program.initial_state(), program.initial_state()
    in_plan, outside = Comparison(graph), Comparison(graph)
    arena: Arena | None = None
    plan_error = None
    for number, given in enumerate(sets):
        ours = evaluate(program, given, plain_state)
        if plan is not None and plan_error is None and not missing:
            try:
                arena = arena or Arena(program, plan)
                in_plan.add(arena.run(given, arena_state, seed=number), ours)
            except PlanError as error:
                plan_error = str(error)
        if oracle is not None:
            outside.add(ours, oracle.run(given))
        if number < len(expected):
            outside.add(ours, expected[number])
        if progress is not None:
            progress(number + 1, len(sets))
    return Verification(
        inputs=len(sets),
        missing=missing,
        planned=plan is not None,
        plan_error=plan_error,
        in_plan=in_plan.result(),
        runtime=against,
        against=outside.result(),
        max_lsb=max_lsb,
    )


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
