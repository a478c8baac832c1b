"""Notes on better plans, checked by head: who may be named, in which order, with which saving."""

from __future__ import annotations

import msgspec

from mcuprof.analysis.advice import advice
from mcuprof.document import Memory, Strategy

MEMORY = Memory("as-is", "none", 1_300, 1_000, 300, 1_320, None, 600, "gap 66.7 %", None, ())


def row(order: str, in_place: str, head: int, runs_on: tuple[str, ...] = ("tflm",)) -> Strategy:
    return Strategy(order, in_place, head, head, "optimal: bound", runs_on)


def test_each_step_that_saves_more_is_named_once_with_all_it_saves() -> None:
    rows = (row("as-is", "none", 800), row("as-is", "overlap", 500), row("optimal", "none", 700))
    found = list(advice(msgspec.structs.replace(MEMORY, strategies=rows), "tflm"))
    assert [(each.code, each.saves_bytes) for each in found] == [("M103", 200), ("M104", 300), ("M107", 500)]
    assert found[2].fix is not None and "--order as-is --in-place overlap" in found[2].fix


def test_nothing_is_said_of_plans_that_the_runtime_cannot_run_or_that_save_nothing() -> None:
    rows = (row("as-is", "none", 1_000), row("as-is", "overlap", 500, ("another",)), row("as-is", "alias", 400, ()))
    assert list(advice(msgspec.structs.replace(MEMORY, strategies=rows), "tflm")) == []
    assert list(advice(MEMORY, "tflm")) == []


def test_a_tail_larger_than_the_head() -> None:
    found = list(advice(msgspec.structs.replace(MEMORY, head_bytes=299), "tflm"))
    assert [each.code for each in found] == ["M102"]
