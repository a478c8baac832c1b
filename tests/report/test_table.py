from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcuprof.report.page import Page, columns
from mcuprof.report.table import Column, table

HEADS = (
    Column("#", right=True),
    Column("operator", flexible=12),
    Column("kernel", drop=2),
    Column("cycles", right=True, drop=1),
)
ROWS = [("0", "CONV_2D", "convolve_s8", "2.5 M"), ("12", "FULLY_CONNECTED", "fully_connected_s8", "500 k")]


def printed(width: int) -> list[str]:
    page = Page(width)
    return page.paint(table(page, HEADS, ROWS)).splitlines()


def test_with_room_everything_is_aligned() -> None:
    assert printed(80) == [
        "   #  operator         kernel              cycles",
        "   0  CONV_2D          convolve_s8          2.5 M",
        "  12  FULLY_CONNECTED  fully_connected_s8   500 k",
    ]


def test_first_the_flexible_column_shrinks() -> None:
    assert printed(47)[2] == "  12  FULLY_…NECTED  fully_connected_s8   500 k"


def test_then_the_dispensable_columns_go() -> None:
    assert printed(40) == [
        "   #  operator         cycles",
        "   0  CONV_2D           2.5 M",
        "  12  FULLY_CONNECTED   500 k",
    ]
    assert printed(24)[2] == "  12  FULLY_CONNECTED"


@given(st.integers(20, 100), st.lists(st.tuples(*[st.text("aü層", max_size=60)] * 4), max_size=4))
def test_no_row_is_wider_than_the_page(width: int, rows: list[tuple[str, ...]]) -> None:
    page = Page(width)
    assert all(columns(each) <= width for each in page.paint(table(page, HEADS, rows)).splitlines())
