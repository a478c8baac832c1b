from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcuprof.report.page import Page, Piece, columns, line

NAMES = st.text(st.characters(), max_size=60)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("conv1/Relu;bias:0", "conv1/Relu;bias:0"),
        ("\x1b[2J\x1b]0;pwned\x07", "\\x1b[2J\\x1b]0;pwned\\x07"),
        ("a\nFITS  b", "a\\x0aFITS  b"),
        ("a\rb\tc\x00", "a\\x0db\\x09c\\x00"),
        ("\x9b31m", "\\x9b31m"),  # C1: the one-character form of ESC [
        ("evil\u202egnp.tflite", "evil\\u202egnp.tflite"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udcff", "\\udcff"),  # a byte of a file name that is no UTF-8
        ("\U000e0041", "\\U000e0041"),
        ("Größe 層", "Größe 層"),
    ],
)
def test_names_cannot_speak_to_the_terminal(name: str, shown: str) -> None:
    assert Page().clean(name) == shown


def test_an_ascii_page_escapes_the_rest() -> None:
    assert Page(unicode=False).clean("Größe 層") == "Gr\\xf6\\xdfe \\u5c64"


@given(NAMES, st.booleans())
def test_clean_names_are_printable(name: str, unicode: bool) -> None:
    cleaned = Page(unicode=unicode).clean(name)
    assert cleaned.isprintable()
    assert unicode or cleaned.isascii()
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in cleaned)


@given(NAMES, st.integers(0, 40))
def test_fit_keeps_both_ends_within_the_width(name: str, width: int) -> None:
    fitted = Page().fit(name, width)
    assert columns(fitted) <= width
    if columns(name) <= width:
        assert fitted == name
    elif width > 0:
        head, tail = fitted.split("…", 1) if name.count("…") == 0 else ("", "")
        assert name.startswith(head) and name.endswith(tail)


@given(NAMES, st.integers(4, 30), st.booleans())
def test_pad_fills_to_the_column(name: str, width: int, right: bool) -> None:
    # one column may be missing where a wide character did not fit any more, never more than filled up
    assert columns(Page().pad(name, width, right)) == width


@given(st.lists(NAMES, max_size=8), st.integers(2, 30), st.integers(2, 30))
def test_wrap_loses_nothing_and_keeps_the_width(words: list[str], first: int, rest: int) -> None:
    text = " ".join(words)
    lines = Page().wrap(text, first, rest)
    assert all(columns(each) <= max(first, rest) for each in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_numbers_stay_with_their_units() -> None:
    text = "it lacks 6,912 B (6.8 KiB): needs 105,216 B of 98,304 B at 64 MHz"
    for width in range(18, 60):
        for each in Page().wrap(text, width, width):
            assert not each.startswith(("B", "(", "MHz", "KiB"))


def test_styles_are_put_on_last_and_trailing_space_is_cut() -> None:
    lines = [line("a ", Piece("b", "bad"), Piece("   ", "dim"), "  ")]
    assert Page(color=True).paint(lines) == "a \x1b[1;31mb\x1b[0m\n"
    assert Page(color=False).paint(lines) == "a b\n"


def test_own_typography_has_an_ascii_form_of_the_same_width() -> None:
    ours = "·…×–━─█▓▒░▲▁▂▃▄▅▆▇"
    assert Page(unicode=False).own(ours).isascii()
    assert len(Page(unicode=False).own(ours)) == len(ours)
