"""The page in a real browser: it loads in silence, shows the map, and can be used with mouse and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcuprof.document import Report
from mcuprof.report import render
from tests.browser import Browser, browser, needs_browser
from tests.documents import NO_DEVICE, RESULT, detailed, report
from tests.report.test_html import named

pytestmark = needs_browser
HOSTILE = "</title><script>alert(1)</script><img src=http://localhost/x onerror=alert(1)>\u202e\x1b"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def stored(folder: Path, document: Report, format: str = "html") -> Path:
    path = folder / f"page.{format}"
    path.write_text(render(document, format), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    "document",
    [report(detailed(RESULT)), report(NO_DEVICE), report(detailed(RESULT), NO_DEVICE), named(HOSTILE)],
    ids=["one", "no_device", "two", "hostile"],
)
def test_it_loads_in_silence_and_fits_the_width(
    tab: Browser, tmp_path: Path, document: Report, width: int, dark: bool
) -> None:
    path = stored(tmp_path, document)
    tab.open(path, width, dark=dark)
    assert tab.evaluate("document.documentElement.dataset.ready") == ""
    assert tab.complaints == []
    assert tab.requests == [path.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    red, green, blue = map(int, tab.evaluate("getComputedStyle(document.body).backgroundColor")[4:-1].split(","))
    assert (red + green + blue < 3 * 128) == dark


def test_the_policy_stops_a_script_that_got_in_all_the_same(tab: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    page = render(report(RESULT), "html")
    path.write_text(page.replace("<main>", "<main><img src=x><script>document.title = 'in'</script>"))
    tab.open(path)
    assert tab.evaluate("document.title") != "in"
    assert "Content Security Policy" in " ".join(tab.complaints)


def test_the_map_shows_buffers_where_they_lie(tab: Browser, tmp_path: Path) -> None:
    tab.open(stored(tmp_path, report(detailed(RESULT))))
    script = """[...document.querySelectorAll('.plot .buffer')].map(e => {
        const p = e.closest('svg').getBoundingClientRect(), b = e.getBoundingClientRect();
        return [e.getAttribute('aria-label').split(':')[0], (b.left - p.left) / p.width, (b.right - p.left) / p.width,
                (p.bottom - b.bottom) / p.height, (p.bottom - b.top) / p.height] })"""
    seen = {name: at for name, *at in tab.evaluate(script)}
    assert len(seen) == 5
    # conv1: operators 0 and 1 of 4, bytes 27,648 to 46,080 of 73,728. A stroke may add half a pixel.
    assert seen["conv1"] == pytest.approx([0, 0.5, 27_648 / 73_728, 46_080 / 73_728], abs=0.005)
    assert seen["pool"] == pytest.approx([0.5, 1, 0, 9_216 / 73_728], abs=0.005)


def test_pointing_at_a_buffer_tells_what_it_is(tab: Browser, tmp_path: Path) -> None:
    tab.open(stored(tmp_path, report(detailed(RESULT))), 390)
    tab.hover(".buffer[aria-label^=input]")
    tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert tab.evaluate("document.querySelector('.tip').hidden") is False
    assert tab.evaluate("document.querySelector('.tip b').textContent") == "input"
    assert "27,648 B (27.0 KiB), offset 0 to 27,648, live during operator 0" in tab.evaluate(
        "document.querySelector('.tip').textContent"
    )
    left, right = tab.evaluate(
        "{ const b = document.querySelector('.tip').getBoundingClientRect(); [b.left, b.right] }"
    )
    assert 0 <= left < right <= 390


def test_the_keyboard_walks_through_the_map(tab: Browser, tmp_path: Path) -> None:
    tab.open(stored(tmp_path, report(detailed(RESULT))))
    tab.evaluate("document.querySelector('.plot .buffer[tabindex=\"0\"]').focus()")
    walked = [tab.evaluate("document.querySelector('.tip b').textContent")]
    for key in ("ArrowUp", "ArrowRight", "ArrowRight", "Escape"):
        tab.press(key)
        walked.append(tab.evaluate("document.querySelector('.tip b').textContent"))
    assert walked == ["input", "conv1", "conv2", "pool", "pool"]
    assert tab.evaluate("document.querySelector('.tip').hidden") is True
    assert tab.evaluate("document.querySelectorAll('.plot [tabindex=\"0\"]').length") == 1


def test_the_strategy_switch_draws_where_the_arena_would_end(tab: Browser, tmp_path: Path) -> None:
    tab.open(stored(tmp_path, report(detailed(RESULT))))
    tab.click(".switch tbody tr:nth-child(2) label")
    assert tab.evaluate("document.querySelector('.switch input:checked').value") == "36896"
    assert "in-place overlap: head 36,896 B" in tab.evaluate("document.querySelector('.said').textContent")
    assert "Proof: gap 0.1 %" in tab.evaluate("document.querySelector('.said').textContent")
    drawn = tab.evaluate("document.querySelector('line.chosen').getAttribute('y1')")
    assert float(drawn.rstrip("%")) == pytest.approx(100 * (1 - 36_896 / 73_728))
    tab.press("ArrowUp")
    assert tab.evaluate("document.querySelector('.switch input:checked').value") == "55296"
    assert "36,832" not in tab.evaluate("document.querySelector('.said').textContent")


def test_columns_sort_with_the_keyboard(tab: Browser, tmp_path: Path) -> None:
    tab.open(stored(tmp_path, report(detailed(RESULT))))
    rows = "[...document.querySelector('table[data-sortable]').tBodies[0].rows]"
    order = f"{rows}.map(r => Number(r.cells[0].textContent))"
    assert tab.evaluate(order) == [0, 1, 2, 3]
    tab.evaluate("[...document.querySelectorAll('th button')].find(b => b.textContent === 'MACs').focus()")
    tab.press("Enter")
    assert tab.evaluate(order) == [1, 0, 3, 2]  # 6,000,000 1,000,000 453,314 36,864
    assert tab.evaluate("document.querySelector('th[aria-sort]').textContent") == "MACs"
    tab.press("Enter")
    assert tab.evaluate(order) == [2, 3, 0, 1]


def test_one_of_several_results_is_shown_at_a_time(tab: Browser, tmp_path: Path) -> None:
    tab.open(stored(tmp_path, report(detailed(RESULT), NO_DEVICE)))
    visible = "[...document.querySelectorAll('article')].filter(a => !a.hidden).map(a => a.id)"
    assert tab.evaluate(visible) == ["r1"]
    tab.click(".summary a[href='#r2']")
    tab.evaluate("new Promise(done => setTimeout(done, 50))")
    assert tab.evaluate(visible) == ["r2"]
    assert tab.evaluate("document.querySelector('tr[aria-current] a').hash") == "#r2"


def test_the_svg_is_a_drawing_of_its_own(tab: Browser, tmp_path: Path) -> None:
    path = stored(tmp_path, report(detailed(RESULT)), "svg")
    tab.open(path)
    assert tab.complaints == [] and tab.requests == [path.as_uri()]
    assert tab.evaluate("document.querySelectorAll('.buffer').length") == 5
    assert tab.evaluate("getComputedStyle(document.querySelector('.buffer.at-peak')).fill") == "rgb(52, 87, 194)"
