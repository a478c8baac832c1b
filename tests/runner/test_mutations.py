"""Plans of whole networks, made wrong on purpose: the arena runner catches all that break a dependence, and no others.

What breaks is decided by `tests.runner.judge`, which walks the kernels' loops itself; in the slow form tflite-micro's
own kernels, executed at the mutated offsets, must agree: a harmless plan gives the bytes it gives without a plan.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcuprof.errors import ModelError, PlanError
from mcuprof.graph import Graph
from mcuprof.memory import plan
from mcuprof.memory.effort import Limit
from mcuprof.ops.kernel import Array
from mcuprof.readers import read
from mcuprof.readers.tflite import read_tflite
from mcuprof.runner.arena import evaluate_in_arena
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.isolation import Isolated
from mcuprof.runner.program import evaluate, prepare
from mcuprof.writers.tflite import ONLINE, FilePlan, first_operators, with_plan
from mcuprof.writers.tflite_model import to_tflite
from tests.corpus import model, needs_shared
from tests.runner.judge import Judge
from tests.runner.mutations import Mutant, mutants
from tests.stripes import striped

SAMPLES = Path(__file__).parents[2] / "samples"
STRATEGIES = ("none", "elementwise", "overlap")
KINDS = {"shortened", "moved", "swapped"}
CORPUS = (
    *("mlperf_ad01_int8", "mlperf_kws_int8", "mlperf_ic_resnet8_int8", "mlperf_vww_mbv1_int8", "mlperf_streaming_ww"),
    *(
        "tflm_person_detect",
        "tflm_keyword_scrambled_8bit",
        "mltk_tflm_micro_speech",
        "ambiq_nnid",
        "tinyengine_lenet300",
    ),
    *("mcunet_vww", "drv_resnet8_static_wi8_ai16", "tflm_hello_world_int8", "mlperf_ic_resnet_large_int8"),
    *("sscma_fomo_mbv2_int8",),
)


class Case:
    """One network, what it computes without a plan, and the judge."""

    def __init__(self, path: Path) -> None:
        self.graph = read(path)
        self.program = prepare(self.graph)
        self.judge = Judge(self.graph)
        self.inputs = random_inputs(self.graph, 0)
        self.expected = evaluate(self.program, self.inputs, self.program.initial_state())

    def mutants(self, strategy: str, count: int, seed: int) -> Iterator[Mutant]:
        found = plan(self.graph, in_place=strategy, limit=Limit(2.0))
        assert self.judge.broken_at(found) is None, "the plan that is mutated is right"
        yield from islice(mutants(self.graph, found, random.Random(seed)), count)

    def caught(self, mutant: Mutant) -> bool:
        """True when the arena runner raises PlanError; otherwise every tensor is what it is without a plan."""
        try:
            found = evaluate_in_arena(
                self.program, mutant, self.inputs, self.program.initial_state(), len(mutant.order)
            )
        except PlanError:
            return True
        assert all(np.array_equal(found[tensor], self.expected[tensor]) for tensor in self.expected)
        return False


def test_mutated_plans_of_the_samples() -> None:
    counts: Counter[tuple[str, bool]] = Counter()
    for path in sorted(SAMPLES.glob("[!m]*_int8.tflite")):
        case = Case(path)
        for seed, strategy in enumerate(STRATEGIES):
            for mutant in case.mutants(strategy, 24, seed):
                broken = case.judge.broken_at(mutant)
                assert case.caught(mutant) == (broken is not None), (path.name, strategy, mutant)
                counts[mutant.kind, broken is not None] += 1
    assert {kind for kind, harmful in counts if harmful} >= KINDS
    assert sum(count for (_, harmful), count in counts.items() if harmful) >= 200
    assert sum(count for (_, harmful), count in counts.items() if not harmful) >= 20


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("name", CORPUS)
def test_mutated_plans_of_real_networks(name: str) -> None:
    """tflite-micro executes every mutant, too: it must not differ where the judge sees no harm."""
    pytest.importorskip("tflite_micro", reason="tflite-micro, the second judge, is not installed")
    path = model(name).path
    case, data = Case(path), path.read_bytes()
    counts: Counter[tuple[str, str]] = Counter()
    for seed, strategy in enumerate(STRATEGIES):
        for mutant in case.mutants(strategy, 60, seed):
            broken = case.judge.broken_at(mutant)
            assert case.caught(mutant) == (broken is not None), (strategy, mutant)
            differs = executed_by_tflm(case.graph, data, mutant, broken, case.expected)
            if broken is None:
                assert not differs, (strategy, mutant)
            verdict = "harmless" if broken is None else "harmful, seen in bytes" if differs else "harmful"
            counts[mutant.kind, verdict] += 1
    print(name, *(f"\n  {kind}, {verdict}: {count}" for (kind, verdict), count in sorted(counts.items())))
    assert sum(counts.values()) > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_mutated_plans_with_views(seed: int) -> None:
    """Stripes that lie inside one another: what tflite-micro computes otherwise at the mutated offsets is caught."""
    pytest.importorskip("tflite_micro", reason="tflite-micro, the judge, is not installed")
    case = striped(random.Random(seed))
    data = to_tflite(case.stripes)
    graph = read_tflite(data, {})
    program, inputs = prepare(graph), random_inputs(graph, 0)
    expected = evaluate(program, inputs, program.initial_state())
    counts: Counter[tuple[str, str]] = Counter()
    for strategy in ("none", "overlap"):
        found = plan(graph, "as-is", strategy, views=case.views, limit=Limit(1))
        for mutant in islice(mutants(graph, found, random.Random(seed)), 40):
            try:
                inside = evaluate_in_arena(program, mutant, inputs, program.initial_state(), seed)
            except PlanError:
                differs = executed_by_tflm(graph, data, mutant, len(mutant.order), expected)
                counts[mutant.kind, "caught, seen in bytes" if differs else "caught"] += 1
                continue
            assert all(np.array_equal(inside[tensor], expected[tensor]) for tensor in expected)
            assert not executed_by_tflm(graph, data, mutant, None, expected), (strategy, mutant)
            counts[mutant.kind, "passed"] += 1
    print(seed, *(f"\n  {kind}, {verdict}: {count}" for (kind, verdict), count in sorted(counts.items())))


def executed_by_tflm(
    graph: Graph, data: bytes, mutant: Mutant, broken: int | None, expected: Mapping[int, Array]
) -> bool:
    """True when tflite-micro, executing the mutant, gives other bytes: of the operator that breaks, or at the end."""
    offsets = tuple(ONLINE if offset is None else offset for offset in mutant.offsets)
    planned = with_plan(data, FilePlan(mutant.order, offsets))
    wanted = graph.outputs[0]
    if broken is not None and broken < len(mutant.order):
        wanted = graph.ops[mutant.order[broken]].outputs[0]
        planned = first_operators(planned, broken + 1, wanted)
    try:
        with Isolated("tflite-micro", lambda: _Tflm(planned, graph)) as tflm:
            found = tflm.call("output")
    except (ModelError, RuntimeError, ValueError):  # an order that it refuses, or crashes on
        assert broken is not None
        return True
    return not np.array_equal(found, expected[wanted])


class _Tflm:
    """In a process of its own: the interpreter may crash."""

    def __init__(self, data: bytes, graph: Graph) -> None:
        runtime: Any = import_module("tflite_micro.python.tflite_micro.runtime")
        self.interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 22)
        self.inputs = random_inputs(graph, 0)

    def output(self) -> Array:
        for position, tensor in enumerate(self.inputs):
            self.interpreter.set_input(self.inputs[tensor], position)
        self.interpreter.invoke()
        found: Array = self.interpreter.get_output(0)
        return found
