from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcuprof.document import Placement
from mcuprof.report.page import Page, columns
from mcuprof.report.timeline import MAX_OPERATORS, live_bytes, timeline
from tests.documents import PLAN

PLACEMENTS = st.lists(
    st.builds(
        Placement,
        tensor=st.just("t"),
        bytes=st.integers(0, 10**9),
        offset=st.just(0),
        first=st.integers(-3, 300),
        last=st.integers(-3, 300),
    ),
    max_size=20,
)


def test_live_bytes_by_hand() -> None:
    assert live_bytes(PLAN, 4) == [27_648 + 18_432, 18_432 + 36_864, 36_864 + 9_216, 9_216 + 2]


@given(PLACEMENTS, st.integers(1, 250))
def test_live_bytes_by_definition(plan: list[Placement], operators: int) -> None:
    expected = [sum(p.bytes for p in plan if p.first <= index <= p.last) for index in range(operators)]
    assert live_bytes(plan, operators) == expected


@given(PLACEMENTS, st.integers(1, 250), st.integers(40, 120))
def test_the_plot_keeps_to_the_page(plan: list[Placement], operators: int, width: int) -> None:
    page = Page(width)
    lines = page.paint(timeline(page, plan, operators)).splitlines()
    assert all(columns(each) <= width for each in lines)
    if lines:
        top, axis = lines[0], lines[-2]
        # the arrow stands under a column that reaches the top
        assert top[axis.index("▲")] == "█"


@pytest.mark.parametrize("operators", [-1, 0, MAX_OPERATORS + 1, 10**15])
def test_absurd_operator_counts_give_no_plot(operators: int) -> None:
    assert timeline(Page(), PLAN, operators) == []
