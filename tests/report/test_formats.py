from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcuprof.budgets import Limits, judge
from mcuprof.document import Finding, Report, Result, Verdict, decode, encode
from mcuprof.errors import UsageError
from mcuprof.report import render
from tests.documents import NO_DEVICE, RESULT, detailed, report

replace = msgspec.structs.replace
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def named(path: str, message: str = "") -> Result:
    findings = (Finding("O401", "error", message, message),) if message else ()
    return replace(RESULT, model=replace(RESULT.model, path=path), verdict=Verdict(not findings, findings))


def test_json_is_the_document_itself() -> None:
    document = report(RESULT, detailed(RESULT), NO_DEVICE)
    assert render(document, "json").encode() == encode(document)


@given(TEXT, st.booleans())
def test_json_is_safe_to_print_and_still_the_document(name: str, unicode: bool) -> None:
    document: Report = report(named(name))
    text = render(document, "json", unicode=unicode)
    assert decode(text.encode()) == document
    assert json.loads(text)["results"][0]["model"]["path"] == name
    assert unicode or text.isascii()
    assert not any(0x7F <= ord(character) < 0xA0 or character in "\u202e\u2028\x1b" for character in text)


def test_markdown_cannot_be_steered_by_names() -> None:
    hostile = "a|b`c`\n| x | <img src=http://e.x/p> @all [l](http://e.x)"
    text = render(report(named(hostile, hostile)), "markdown")
    table, findings = text.split("\n\n")
    header, _, row = table.splitlines()
    assert row.count("|") == header.count("|")
    assert "`` a\\x7cb`c`" in row  # a code span with a longer fence: nothing inside is live
    (finding,) = findings.splitlines()
    prose = finding.split(": ", 1)[1]
    for dead in ("\\`c\\`", "\\<img", "http&#58;//e.x", "@<!-- -->all", "\\[l\\]"):
        assert dead in prose
    for live in ("://", "@all"):
        assert live not in prose


def test_markdown_leaves_notes_to_the_long_form() -> None:
    document = report(judge(replace(NO_DEVICE), Limits(flash_bytes=10**6)))
    assert "M106" not in render(document, "markdown")
    assert "M106" in render(document, "markdown", detail=True)


def test_an_unknown_format_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no such format: 'pdf'"):
        render(report(), "pdf")
