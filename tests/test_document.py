from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest

from mcuprof.document import Report, decode, encode, json_schema
from mcuprof.errors import UsageError
from tests.documents import NO_DEVICE, RESULT, TOOL, detailed, report

WHOLE = report(RESULT, detailed(RESULT), NO_DEVICE)


def test_a_document_survives_the_journey() -> None:
    assert decode(encode(WHOLE)) == WHOLE


def test_equal_documents_are_equal_bytes() -> None:
    assert encode(WHOLE) == encode(decode(encode(WHOLE)))


def test_keys_are_sorted_and_the_file_ends_in_a_newline() -> None:
    data = encode(WHOLE)
    assert data == (json.dumps(json.loads(data), indent=2, sort_keys=True) + "\n").encode()


def test_the_schema_accepts_documents_and_rejects_others() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    plain = json.loads(encode(WHOLE))
    validator.validate(plain)
    del plain["results"][0]["memory"]["arena_bytes"]
    assert not validator.is_valid(plain)


def test_what_only_analyze_fills_is_absent_from_check() -> None:
    short, long = json.loads(encode(report(RESULT, detailed(RESULT))))["results"]
    assert not {"plan", "strategies"} & short["memory"].keys()
    assert {"plan", "strategies"} <= long["memory"].keys()


def test_no_latency_is_null_with_a_reason() -> None:
    plain = json.loads(encode(report(NO_DEVICE)))["results"][0]
    assert plain["latency"] is None
    assert plain["latency_reason"] == "no device was named"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"results": []}',
        b'{"tool": 1, "results": []}',
        b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_report(data: bytes) -> None:
    with pytest.raises(UsageError, match="not a mcuprof report"):
        decode(data)


def test_another_schema_version_is_refused() -> None:
    data = encode(msgspec.structs.replace(Report(tool=TOOL, results=()), schema_version=2))
    with pytest.raises(UsageError, match="report schema 2, this mcuprof reads 1"):
        decode(data)
