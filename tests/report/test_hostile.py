"""Stored results come from strangers too: whatever a document holds, every format prints it, within the page."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.budgets import Limits, judge
from mcuprof.document import Report, Result
from mcuprof.report import FORMATS, render
from mcuprof.report.page import columns
from tests.documents import TOOL

st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
st.register_type_strategy(int, st.integers(-(2**70), 2**70) | st.integers(0, 300))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
RESULTS = st.from_type(Result)


@pytest.mark.parametrize("format", list(FORMATS))
@given(result=RESULTS, width=st.integers(0, 130), detail=st.booleans(), unicode=st.booleans())
@settings(max_examples=15, deadline=None)
def test_any_document_prints(format: str, result: Result, width: int, detail: bool, unicode: bool) -> None:
    text = render(Report(TOOL, (result,)), format, width=width, detail=detail, unicode=unicode)
    assert unicode or text.isascii()
    assert text.replace("\n", "").isprintable() or format == "json"
    if format == "text":
        assert max(map(columns, text.splitlines())) <= max(width, 40)
        assert detail or len(text.splitlines()) <= 15


@given(RESULTS)
@settings(max_examples=15, deadline=None)
def test_any_result_can_be_judged(result: Result) -> None:
    judged = judge(result, Limits(1000, 1000, 1.0, 1000))
    assert judged.verdict.fits == all(finding.severity != "error" for finding in judged.verdict.findings)
