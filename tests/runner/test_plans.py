"""Plans of the memory room, executed: every strategy's plan gives the bytes of a run without a plan."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprof.memory import plan
from mcuprof.memory.effort import Limit
from mcuprof.readers import read
from mcuprof.runner.arena import evaluate_in_arena
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.program import evaluate, prepare
from tests.corpus import model, needs_shared

pytestmark = needs_shared

MODELS = ("mlperf_kws_int8", "mlperf_ic_resnet8_int8", "mlperf_streaming_ww", "tflm_keyword_scrambled", "litert_ff")


@pytest.mark.parametrize("strategy", ["none", "alias", "elementwise", "depthwise", "overlap"])
@pytest.mark.parametrize("name", MODELS)
def test_plans_hold_when_they_are_executed(name: str, strategy: str) -> None:
    graph = read(model(name).path)
    program = prepare(graph)
    placed = plan(graph, in_place=strategy, limit=Limit(2.0))
    plain, inside = program.initial_state(), program.initial_state()
    for seed in range(2):
        given = random_inputs(graph, seed)
        expected = evaluate(program, given, plain)
        found = evaluate_in_arena(program, placed, given, inside, seed)
        assert set(found) == set(expected)
        assert all(np.array_equal(found[index], expected[index]) for index in expected)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["none", "alias", "elementwise", "depthwise", "overlap"])
@pytest.mark.parametrize("name", ["mlperf_vww_mbv1_int8", "tflm_person_detect", "esphome_v2_choo_choo", "ambiq_nnid"])
def test_plans_of_larger_models_hold(name: str, strategy: str) -> None:
    test_plans_hold_when_they_are_executed(name, strategy)
