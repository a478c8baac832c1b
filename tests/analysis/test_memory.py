"""Orders and strategies in the report, against heads that the real runtime reported under such plans."""

from __future__ import annotations

import msgspec
import pytest

from mcuprof.analysis import Options, analyze
from mcuprof.document import Strategy
from mcuprof.errors import UsageError
from mcuprof.graph import Graph
from mcuprof.readers import read
from tests.corpus import model, needs_shared

# Heads that tflite-micro reported for written plans (memory-planning.md §0, §1.2), reference kernels.
REPORTED = [
    ("mlperf_vww_mbv1_int8", 73_728, 55_296, 36_880),
    ("mlperf_kws_int8", 16_000, 16_000, 9_792),
    ("mlperf_ic_resnet8_int8", 49_152, 49_152, 33_312),
    ("mlperf_ic_resnet_large_int8", 122_880, 122_880, 83_280),
    ("mlperf_streaming_ww", 6_656, 6_656, 3_840),
]


def load(name: str) -> Graph:
    return read(model(name).path)


def table(graph: Graph) -> tuple[Strategy, ...]:
    strategies = analyze(graph, None, Options(detail=True)).memory.strategies
    assert not isinstance(strategies, msgspec.UnsetType)
    return strategies


@needs_shared
@pytest.mark.parametrize(("name", "own", "none", "overlap"), REPORTED)
def test_strategies_have_the_heads_that_the_runtime_reported(name: str, own: int, none: int, overlap: int) -> None:
    graph = load(name)
    rows = {(row.order, row.in_place): row for row in table(graph)}
    assert len(rows) == 10
    assert rows["as-is", "none"].head_bytes == none
    assert rows["as-is", "overlap"].head_bytes == overlap
    assert all(row.certificate.startswith("optimal") for row in rows.values())
    assert analyze(graph).memory.head_bytes == own


@needs_shared
@pytest.mark.parametrize(("name", "own", "none", "overlap"), REPORTED)
def test_a_chosen_plan_changes_the_head_and_keeps_the_tail(name: str, own: int, none: int, overlap: int) -> None:
    graph = load(name)
    plain = analyze(graph).memory
    planned = analyze(graph, None, Options(order="optimal", in_place="overlap")).memory
    assert (planned.order, planned.in_place) == ("optimal", "overlap")
    assert planned.head_bytes == overlap
    assert planned.tail_bytes == plain.tail_bytes
    assert planned.arena_bytes <= planned.min_arena_bytes


@needs_shared
def test_a_limit_of_no_time_gives_a_plan_with_its_gap_never_a_wrong_certificate() -> None:
    graph = load("mlperf_vww_mbv1_int8")
    memory = analyze(graph, None, Options(in_place="overlap", time_limit=0.0)).memory
    assert memory.head_bytes >= 36_880
    assert memory.certificate.startswith("gap") or memory.head_bytes == 36_880


@needs_shared
def test_models_that_cannot_be_planned_say_so() -> None:
    graph = load("esphome_v2_vad")
    with pytest.raises(UsageError, match="several subgraphs"):
        analyze(graph, None, Options(in_place="overlap"))
    result = analyze(graph, None, Options(detail=True))
    assert result.memory.strategies == ()
    assert "M111" in {finding.code for finding in result.verdict.findings}
    assert result.memory.head_bytes == 1_536  # executed (tflm_arena_cortexm.csv)


@needs_shared
def test_a_stored_plan_is_not_certified() -> None:
    """A plan in the file may share bytes: below the live bytes lies no proof of anything."""
    from mcuprof.runtimes.tflm.lifetimes import with_plan

    graph = load("mlperf_vww_mbv1_int8")
    squeezed = with_plan(graph, range(len(graph.ops)), [0 if not t.is_constant else None for t in graph.tensors])
    memory = analyze(squeezed).memory
    assert memory.head_bytes == 36_864  # all offsets 0: the largest tensor (tflm.md §3, negative control)
    assert memory.certificate == "none: plan stored in the model"
