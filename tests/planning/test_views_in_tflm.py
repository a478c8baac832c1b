"""Plans with views in TFLM's own interpreter: head as predicted, every tensor as without the plan."""

from __future__ import annotations

import random

import pytest

from mcuprof.memory import plan
from mcuprof.memory.effort import Limit
from mcuprof.planning.interpreter import interpreted
from mcuprof.readers.tflite import read_tflite
from mcuprof.writers.tflite import ONLINE, FilePlan, with_plan
from mcuprof.writers.tflite_model import to_tflite
from tests.stripes import striped


@pytest.mark.parametrize("strategy", ["none", "overlap"])
def test_stripes_on_top_of_one_another(strategy: str) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro, the judge, is not installed")
    for seed in range(4):
        case = striped(random.Random(seed))
        data = to_tflite(case.stripes)
        graph = read_tflite(data, {})
        found = plan(graph, "as-is", strategy, views=case.views, limit=Limit(1))
        offsets = tuple(ONLINE if offset is None else offset for offset in found.offsets)
        planned = with_plan(data, FilePlan(found.order, offsets))
        step = interpreted(graph, data, read_tflite(planned, {}), planned, lambda _: None, 3)
        assert "outputs equal" in step.text, step.text
