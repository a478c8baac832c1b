from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from mcuprof import __version__
from mcuprof.budgets import CODES
from mcuprof.budgets.examples import EXAMPLES
from mcuprof.cli import COMMANDS, main
from mcuprof.document import encode
from mcuprof.report import render
from tests.documents import RESULT, detailed, report

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mcuprof {__version__}\n"


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_help_names_every_command(capsys: Capture, flag: str) -> None:
    assert main([flag]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(capsys: Capture, command: str) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: mcuprof {command}")


def test_no_command_is_a_usage_error_with_help(capsys: Capture) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "usage: mcuprof COMMAND" in captured.err


def test_an_unknown_command_gets_a_hint(capsys: Capture) -> None:
    assert main(["chek", "x"]) == 2
    assert capsys.readouterr().err == "mcuprof: error: unknown command 'chek'; did you mean check?\n"


@pytest.mark.parametrize("code", list(CODES))
def test_explain_says_all_of_it(capsys: Capture, code: str) -> None:
    assert main(["explain", code.lower()]) == 0
    words = " ".join(capsys.readouterr().out.split())
    entry = CODES[code]
    assert words == f"{code} {entry.title} cause {entry.cause} example {EXAMPLES[code]} fix {entry.fix}"


def test_explain_lists_all(capsys: Capture) -> None:
    assert main(["explain"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line[2] != " "] == list(CODES)


def test_explain_of_nothing(capsys: Capture) -> None:
    assert main(["explain", "Z999"]) == 2
    assert "no finding has the code 'Z999'" in capsys.readouterr().err


@pytest.mark.parametrize(("result", "detail"), [(RESULT, False), (detailed(RESULT), True)])
def test_report_renders_as_the_command_that_made_it(
    capsys: Capture, tmp_path: Path, result: object, detail: bool
) -> None:
    document = report(detailed(RESULT) if detail else RESULT)
    path = tmp_path / "result.json"
    path.write_bytes(encode(document))
    for format in ("text", "json", "markdown"):
        assert main(["report", str(path), "-f", format]) == 0
        assert capsys.readouterr().out == render(document, format, detail=detail)


def test_report_schema(capsys: Capture, tmp_path: Path) -> None:
    assert main(["report", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(encode(report(RESULT))), schema)
    assert main(["report", "--schema", "-o", str(tmp_path / "schema.json")]) == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == schema


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file or directory"),
        (b"", "not a mcuprof report"),
        (b"\x1c\0\0\0TFL3", "not a mcuprof report"),
        (b'{"results": [' + b"[" * 100_000, "not a mcuprof report"),
        (encode(report()).replace(b'"schema_version": 1', b'"schema_version": 7'), "report schema 7"),
    ],
)
def test_report_of_what_is_none(capsys: Capture, tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "result.json"
    if content is not None:
        path.write_bytes(content)
    assert main(["report", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mcuprof: error: ") and reason in error and error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["x.json", "--schema"]])
def test_report_wants_one_thing(capsys: Capture, arguments: list[str]) -> None:
    assert main(["report", *arguments]) == 2
    assert "name a RESULT.json, or ask for --schema" in capsys.readouterr().err


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("3", "3")])
def test_a_process_of_our_own_has_one_blas_thread(before: str | None, after: str) -> None:
    """Unless the user says otherwise."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment |= {} if before is None else {"OPENBLAS_NUM_THREADS": before}
    code = "import os, sys; from mcuprof.cli import main; main(); print(os.environ['OPENBLAS_NUM_THREADS'])"
    done = subprocess.run(
        [sys.executable, "-c", code, "explain", "V601"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == after


def test_a_caller_in_python_keeps_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert main(["explain", "V601"]) == 0
    assert "OPENBLAS_NUM_THREADS" not in os.environ
