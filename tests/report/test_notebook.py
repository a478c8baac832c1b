from __future__ import annotations

import re
import sys
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import pytest

from mcuprof.document import decode, encode
from mcuprof.report import render
from tests.browser import browser, needs_browser
from tests.documents import NO_DEVICE, RESULT, detailed, report
from tests.report.test_html import named

HOSTILE = "\"'><script>alert(1)</script>&quot;"


def framed(html: str) -> str:
    """What is inside the frame."""
    match = re.fullmatch(r'<iframe srcdoc="([^"<>]*)" sandbox="allow-scripts" [^<>]*></iframe>', html)
    assert match
    return unescape(match[1])


def test_a_report_shows_as_its_page_and_nothing_breaks_out_of_the_frame() -> None:
    document = named(HOSTILE)
    assert framed(document._repr_html_()) == render(document, "html")


def test_a_result_shows_as_a_report_of_one() -> None:
    assert "models/vww.tflite" in framed(RESULT._repr_html_())


def test_what_notebooks_ask_for_is_not_part_of_the_document() -> None:
    document = report(detailed(RESULT), NO_DEVICE)
    assert b"layers" not in encode(document) and decode(encode(document)) == document


def test_layers_without_pandas_are_dicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = detailed(RESULT).layers
    assert [row["macs"] for row in rows] == [1_000_000, 6_000_000, 36_864, 453_314]
    # Sums of the buffers whose lifetime covers the operator, by hand.
    assert [row["live_bytes"] for row in rows] == [46_080, 55_296, 46_080, 9_218]
    assert rows[1]["kernel"] == "convolve_1x1_s8" and rows[1]["device"] == "microbit-v2"
    assert [row["live_bytes"] for row in RESULT.layers] == [None] * 4


def test_layers_without_costs_still_have_live_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = report(detailed(NO_DEVICE), NO_DEVICE).layers
    assert [(row["index"], row["cycles"]) for row in rows] == [(index, None) for index in range(4)]


def test_layers_with_pandas_are_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(DataFrame=lambda rows, columns: (rows, columns))
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    rows, columns = report(RESULT, RESULT).layers
    assert len(rows) == 8 and list(rows[0]) == columns
    assert report().layers == ([], columns)


def test_layers_with_the_real_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = RESULT.layers
    assert isinstance(frame, pandas.DataFrame)
    assert frame.groupby("operator")["cycles"].sum()["CONV_2D"] == 18_500_000


@needs_browser
def test_the_frame_works_in_a_browser(tmp_path: Path) -> None:
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><body>{detailed(RESULT)._repr_html_()}</body>")
    with browser(tmp_path / "profile") as tab:
        tab.open(path)
        assert tab.complaints == []
        assert tab.requests == [path.as_uri()]
        assert tab.evaluate("document.querySelector('iframe').getBoundingClientRect().height") >= 700
