"""The page as text: what it holds, that it asks nobody for anything, and that names cannot become markup."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.cost_document import Energy, Exit, Exits
from mcuprof.document import Finding, Npu, NpuOperator, Report, Result, Verdict, Where, decode, encode
from mcuprof.report import render
from mcuprof.report.html.layers import _letter
from mcuprof.report.html.markup import Markup, percentage, tag
from mcuprof.report.html.memory_map import MAX_BUFFERS, memory_map
from tests.corpus import model, needs_shared
from tests.documents import NO_DEVICE, PLAN, RESULT, detailed, report

replace = msgspec.structs.replace
NAMES = st.text(min_size=1, max_size=40) | st.sampled_from(
    (
        "</script><script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "'-alert(1)-'",
        "]]>",
        "<!--",
        "&lt;",
        "\x1b[2J",
    )
)
SVG = "{http://www.w3.org/2000/svg}"


class Outline(HTMLParser):
    """The page's elements with the names of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs if name != "class")))
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def named(name: str) -> Report:
    """A report in which everything that a stranger may name has this name."""
    result = detailed(RESULT)
    memory, latency, peak = result.memory, result.latency, result.memory.peak
    assert latency is not None and peak is not None
    memory = replace(
        memory,
        plan=tuple(replace(placement, tensor=name) for placement in PLAN),
        peak=replace(peak, operator=name, tensors=tuple(replace(tensor, name=name) for tensor in peak.tensors)),
        regions=tuple(replace(region, name=name) for region in memory.regions),
        certificate=name,
    )
    costs = tuple(replace(cost, kernel=name, basis=name) for cost in latency.operators)
    result = replace(
        result,
        model=replace(result.model, path=name, format=name, quantization=name),
        target=replace(result.target, device=name, kernels=name),
        memory=memory,
        flash=replace(result.flash, items=tuple(replace(item, name=name, basis=name) for item in result.flash.items)),
        latency=replace(latency, operators=costs),
        verdict=Verdict(False, (Finding("M101", "error", name, name),)),
        npu=replace(NPU, accelerator=name, basis=name, doubts=(name,), traffic={name: 1}),
        energy=(Energy(name, 1.0, 0.5, 2.0, name),),
        exits=replace(EXITS, exits=tuple(replace(each, output=name) for each in EXITS.exits), basis=name),
    )
    return report(result, result)


# 60 of 100 k cycles are 60 %; operator 1 stays on the core
NPU = Npu(
    *("ethos-u55-128", "System, Mode", 400_000_000, 100_000, 0.25, None, None, 1.5, 20_480, 30_000),
    traffic={"sram": 4_096},
    basis="modelled",
    operators=(
        NpuOperator(0, "CONV_2D", "npu", 60_000, None, "modelled", "compute"),
        NpuOperator(1, "CUSTOM", "host", 9_000, None, "no kernel"),
        NpuOperator(2, "FULLY_CONNECTED", "npu", 40_000, None, "modelled", "memory"),
    ),
)
# A quarter at 4 ms, the rest at 2 ms: 2.5 ms
EXITS = Exits(
    exits=(
        Exit("early", 0.75, 3, 1_000, None, 2_000, 2.0, 1.0, 4.0),
        Exit("late", 0.25, 9, 3_000, None, 4_000, 4.0, 2.0, 8.0),
    ),
    macs=1_500.0,
    instructions=None,
    cycles=2_500.0,
    ms=2.5,
    low_ms=1.25,
    high_ms=5.0,
    basis="operators that an exit needs",
)
PLAIN = named("plain")
PAGE = Outline(render(PLAIN, "html")).elements
DRAWING = [element.tag for element in ElementTree.fromstring(render(PLAIN, "svg")).iter()]


@given(NAMES)
@settings(max_examples=40, deadline=None)
def test_names_never_become_markup(name: str) -> None:
    document = named(name)
    assert Outline(render(document, "html")).elements == PAGE
    assert [element.tag for element in ElementTree.fromstring(render(document, "svg")).iter()] == DRAWING


@pytest.mark.parametrize("format", ["html", "svg"])
def test_pages_are_the_same_bytes_everywhere(format: str) -> None:
    document = named("naïve → 网络")
    text = render(document, format)
    assert text == render(decode(encode(document)), format, width=40, color=True, unicode=False)
    assert text.isascii()


def test_the_policy_lets_only_our_own_style_and_script_in() -> None:
    page = render(report(detailed(RESULT)), "html")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].replace("&#x27;", "'").split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for element in ("style", "script"):
        (content,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{element}-src"] == f"'sha256-{digest}'"
    assert not re.search(r'\s(style|src|on\w+)="|url\(|@import|https?://', page)


@pytest.mark.parametrize("format", ["html", "svg"])
def test_nothing_is_fetched_from_anywhere(format: str) -> None:
    text = render(named("x"), format).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "//" not in re.sub(r"^ *// .*$", "", text, flags=re.MULTILINE)


def test_the_page_says_what_the_document_says() -> None:
    page = Outline(render(report(detailed(RESULT)), "html"))
    words = " ".join(page.words)
    for said in ("FITS", "models/vww.tflite", "microbit-v2", "64 MHz", "105,216 of 131,072 B", "447,867 of 524,288 B"):
        assert said in words
    assert "312 ms" in words and "281 ms to 359 ms" in words
    assert "conv2: 36,864 B (36.0 KiB), offset 36,864 to 73,728, live during operators 1 to 2" in words
    # Share of operator 1: 16.0 of 20.0 M cycles.
    assert "80.0 %" in words
    # The strategy's arena ends 73,728 - 36,896 bytes lower.
    assert any("36,832 B (36.0 KiB) less than the shown plan" in value for value in page.values)


def test_the_page_says_where_operators_lie_under_the_roofline() -> None:
    page = Outline(render(report(detailed(RESULT)), "html"))
    words = " ".join(page.words)
    assert "463 M bit operations an inference: int8 x int8 93.9 %, int8 x int4 6.08 % of the MACs." in words
    assert "Arm Cortex-M4: 2" in words and "Whether memory limits an operator is not said: no bandwidth data" in words
    assert "1 CONV_2D: 60 MACs a byte, 0.375 MACs a cycle" in words
    assert "limited by" not in words


def test_the_page_has_npu_energy_and_early_exits() -> None:
    energy = (Energy("1.8 V", 323.0, 290.0, 360.0, "measured power"),)
    words = " ".join(Outline(render(report(replace(RESULT, npu=NPU, energy=energy, exits=EXITS)), "html")).words)
    assert "On the accelerator (ethos-u55-128)" in words and "0.25 ms at 400 MHz" in words
    assert "2 of 3" in words and "host 1.50 ms more" in words and "60.0 %" in words
    assert "energy, 1.8 V" in words and "323 \u00b5J" in words and "290 \u00b5J to 360 \u00b5J" in words
    assert "on average" in words and "2.50 ms" in words


def test_without_data_the_page_says_so() -> None:
    words = " ".join(Outline(render(report(NO_DEVICE), "html")).words)
    assert "no data" in words and "no device was named" in words
    assert "not judged: no capacity known" in words
    assert "Memory over time" not in words and "Cost of each operator" not in words


def test_unknown_cycles_are_no_cycles() -> None:
    latency = RESULT.latency
    assert latency is not None
    costs = tuple(replace(cost, cycles=None) for cost in latency.operators)
    shown = replace(RESULT, latency=replace(latency, ms=None, cycles=None, operators=costs), latency_reason="no fit")
    words = Outline(render(report(shown), "html")).words
    assert "no fit; 14 M instructions" in words
    assert "Shares are of instructions." in words
    assert "Cycles against MACs" not in words
    assert words.count("no data") == 1 + len(costs)


def test_several_results_are_listed_and_linked() -> None:
    page = Outline(render(report(RESULT, NO_DEVICE), "html"))
    assert "2 of 2 fit" in " ".join(page.words)
    assert {"#r1", "#r2", "r1", "r2"} <= set(page.values)


def test_a_map_without_sense_is_not_drawn() -> None:
    def with_plan(*plan: object, operators: int = 4) -> Result:
        facts = replace(RESULT.model, operators=operators)
        return replace(RESULT, model=facts, memory=replace(RESULT.memory, plan=tuple(plan)))

    first = PLAN[0]
    assert memory_map(RESULT) is None
    assert memory_map(with_plan()) is None
    assert memory_map(with_plan(first, operators=0)) is None
    assert memory_map(with_plan(first, operators=10**12)) is None
    for wrong in (replace(first, bytes=-1), replace(first, offset=-1), replace(first, last=4), replace(first, first=1)):
        assert memory_map(with_plan(wrong)) is None
        drawn = memory_map(with_plan(first, wrong))
        assert drawn is not None and (drawn.buffers, drawn.hidden) == ((first,), 1)


def test_of_very_many_buffers_the_largest_are_drawn() -> None:
    plan = tuple(replace(PLAN[0], tensor=str(size), bytes=size) for size in range(1, MAX_BUFFERS + 11))
    drawn = memory_map(replace(RESULT, memory=replace(RESULT.memory, plan=plan)))
    assert drawn is not None
    assert (len(drawn.buffers), drawn.hidden) == (MAX_BUFFERS, 10)
    assert min(buffer.bytes for buffer in drawn.buffers) == 11


def test_the_svg_places_buffers_by_offset_and_operator() -> None:
    drawing = ElementTree.fromstring(render(report(detailed(RESULT)), "svg"))
    titled = {(e.findtext(f"{SVG}title") or "").split(":")[0]: e.attrib for e in drawing.iter(f"{SVG}rect")}
    # conv2 lies in the upper half of the head of 73,728 bytes during operators 1 and 2 of 4.
    conv2 = {name: titled["conv2"][name] for name in ("x", "y", "width", "height")}
    assert conv2 == {"x": "25%", "y": "0%", "width": "50%", "height": "50%"}
    assert {name for name, at in titled.items() if "at-peak" in at["class"]} == {"conv1", "conv2"}


def test_the_svg_of_a_check_says_how_to_get_a_map() -> None:
    assert "mcuprof analyze makes one" in render(report(RESULT), "svg")


@needs_shared
@pytest.mark.parametrize("name", ["bad_desc_injection", "bad_name_ctrl_chars"])
def test_hostile_models_are_only_words(name: str) -> None:
    import mcuprof

    result = mcuprof.analyze(mcuprof.load(str(model(name).path)), None, mcuprof.Options(detail=True))
    for format in ("html", "svg"):
        text = render(report(result), format)
        assert text.replace("\n", "").isprintable()
        assert "<script>alert" not in text and text.count("<script>") == (format == "html")


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "<b>", Markup("<b>"), title='"\x00') == '<p title="&quot;\\x00">&lt;b&gt;<b></p>'
    assert tag("p", Markup("<b>") + "<i>") == "<p>&lt;b&gt;&lt;i&gt;</p>"
    assert tag("input", checked=True, hidden=False, id=None) == "<input checked>"


def test_shares_are_clipped() -> None:
    nan = float("nan")
    assert [percentage(*pair) for pair in ((1, 3), (-1, 3), (4, 3), (1, 0), (1, float("inf")), (1, nan))] == [
        "33.333%",
        "0%",
        "100%",
        "0%",
        "0%",
        "0%",
    ]


def test_letters_go_on_after_z() -> None:
    assert [_letter(index) for index in (0, 25, 26, 27, 701, 702)] == ["a", "z", "aa", "ab", "zz", "aaa"]


def test_targets_and_budgets_of_a_config_keep_their_names() -> None:
    finding = Finding("M101", "error", "too large", where=Where("conf/mcuprof.toml", 12))
    result = replace(RESULT, target=replace(RESULT.target, name="door"), verdict=Verdict(False, (finding,)))
    words = " ".join(Outline(render(report(result, result), "html")).words)
    assert "door (microbit-v2)" in words
    assert "asked for in conf/mcuprof.toml, line 12" in words
