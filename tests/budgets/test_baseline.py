from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcuprof.budgets.amounts import Ratchet
from mcuprof.budgets.baseline import (
    Baseline,
    Entry,
    changes,
    compare,
    decode_baseline,
    encode_baseline,
    entry_key,
    entry_of,
)
from mcuprof.errors import UsageError
from tests.documents import RESULT

NOW = entry_of(RESULT)
replace = msgspec.structs.replace


def test_the_figures_are_those_of_the_report() -> None:
    assert Entry("597a384c" + "0" * 56, 103_696 + 1_520, 103_680, 447_867, 7_490_178, 312.5) == NOW


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        (NOW, []),
        (replace(NOW, ram_bytes=103_000), ["error R701"]),  # 2,216 B: 2.15 % and more than 1 KiB
        (replace(NOW, ram_bytes=103_500), []),  # 1.66 %
        (replace(NOW, ram_bytes=100_000), ["error R701"]),
        (replace(NOW, flash_bytes=400_000), ["error R701"]),
        (replace(NOW, latency_ms=290.0), ["error R701"]),
        (replace(NOW, ram_bytes=110_000), ["note R703"]),
        (replace(NOW, latency_ms=None), ["warning R702"]),
        (replace(NOW, ram_bytes=1, flash_bytes=1, latency_ms=1.0), ["error R701"] * 3),
        (None, ["warning R702"]),
        (replace(NOW, sha256="other", macs=1, arena_bytes=1), []),  # not what the ratchet holds
    ],
)
def test_the_ratchet(old: Entry | None, expected: list[str]) -> None:
    found = compare(old, RESULT, Ratchet())
    assert [f"{finding.severity} {finding.code}" for finding in found] == expected


def test_strictly_what_is_not_recorded_fails() -> None:
    assert [f.severity for f in compare(None, RESULT, Ratchet(), strict=True)] == ["error"]
    assert [f.severity for f in compare(replace(NOW, ram_bytes=110_000), RESULT, Ratchet(), strict=True)] == ["warning"]


def test_a_figure_that_lost_its_data_is_not_shown_to_hold() -> None:
    (finding,) = compare(NOW, replace(RESULT, latency=None), Ratchet())
    assert (finding.code, finding.severity) == ("R701", "error")
    assert "312 ms" in finding.message or "313 ms" in finding.message


entries = st.builds(
    Entry,
    st.text("0123456789abcdef", min_size=4, max_size=8),
    *[st.integers(0, 10**7)] * 4,
    st.none() | st.floats(0, 1e6, allow_nan=False).map(lambda value: round(value, 3)),
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), entries, max_size=5))
def test_the_file_is_sorted_and_reads_back(found: dict[str, Entry]) -> None:
    baseline = Baseline(found, "0.1.0", "db")
    text = encode_baseline(baseline)
    assert decode_baseline(text.encode(), "x") == baseline
    assert text == encode_baseline(Baseline(dict(reversed(found.items())), "0.1.0", "db"))
    keys = [pair[0] for pair in json.loads(text, object_pairs_hook=list)]
    assert keys == sorted(keys) and text.endswith("}\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "b.json: not a baseline"),
        (b"<<<<<<< HEAD\n", "b.json: not a baseline"),
        (b"[" * 100_000, "b.json: not a baseline"),
        (b"\xff", "b.json: not a baseline"),
        (b'{"schema_version": 1, "entries": {"a|b": {"sha256": ""}}}', "b.json: not a baseline"),
        (b'{"schema_version": 1, "entrys": {}}', "b.json: not a baseline"),
        (
            b'{"schema_version": 9, "whatever": 1}',
            "b.json: a baseline of version 9; this mcuprof reads 1: update mcuprof",
        ),
        (b'{"schema_version": 0}', "b.json: a baseline of version 0; this mcuprof reads 1: write it again"),
    ],
)
def test_what_is_no_baseline(data: bytes, message: str) -> None:
    with pytest.raises(UsageError) as error:
        decode_baseline(data, "b.json")
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_keys_go_by_the_files_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys = {entry_key(name, "door", tmp_path) for name in ("models/a.tflite", "./models/../models/a.tflite")}
    assert keys == {"models/a.tflite|door"}
    assert entry_key("a.tflite", None, tmp_path / "sub") == "../a.tflite|-"
    assert entry_key("caf\udce9", "d", tmp_path) == "caf\\xe9|d"


def test_changes() -> None:
    other = replace(NOW, macs=1)
    assert changes({"a": NOW, "b": NOW, "c": NOW}, {"c": other, "b": NOW, "d": NOW}) == [
        ("a", NOW, None),
        ("c", NOW, other),
        ("d", None, NOW),
    ]
