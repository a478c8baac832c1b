"""Every adversarial file of the corpus is rejected, or judged with the finding that names its defect."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mcuprof.cli import main
from mcuprof.report import FORMATS
from tests.corpus import model, models, needs_shared

TABLE = Path(__file__).parent / "data" / "adversarial.csv"
ADVERSARIAL = [entry.name for entry in models() if entry.row["kind"] == "adversarial"]
# Broken in what they say, not in what they compute: TFLM runs them, and they fit.
FITTING = ("bad_op_version_99", "bad_name_ctrl_chars", "bad_desc_injection", "bad_o_tflite_named_onnx")
Capture = pytest.CaptureFixture[str]


def table() -> dict[str, tuple[str, str]]:
    """File → (exit 3 or the code of a finding, what the line says of the defect)."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {row["name"]: (row["judged"], row["says"]) for row in csv.DictReader(file)}


@needs_shared
def test_the_table_has_every_adversarial_file() -> None:
    assert sorted(table()) == sorted(ADVERSARIAL) and len(ADVERSARIAL) >= 48


@needs_shared
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_its_defect_is_named(name: str, capsys: Capture) -> None:
    judged, says = table()[name]
    code = main(["check", str(model(name).path), "-d", "nucleo-l4r5zi", "--no-cache", "-f", "json"])
    captured = capsys.readouterr()
    if judged == "exit 3":
        assert code == 3 and json.loads(captured.out)["results"] == []
        (line,) = captured.err.splitlines()
        assert line.startswith("mcuprof: error: ") and says in line
        return
    assert captured.err == ""
    (result,) = json.loads(captured.out)["results"]
    findings = result["verdict"]["findings"]
    naming = [f for f in findings if f["code"] == judged and says in f["message"] and f["severity"] != "note"]
    assert naming, findings
    # Only what TFLM runs as if nothing were wrong may fit; ONNX is judged as if converted, in the order that is right.
    assert (code, result["verdict"]["fits"]) == (
        (0, True) if name in (*FITTING, "bad_o_not_topological") else (1, False)
    )


@needs_shared
@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("name", ["bad_name_ctrl_chars", "bad_desc_injection"])
@pytest.mark.parametrize("command", ["check", "analyze"])
def test_no_control_character_and_no_markup_reaches_a_reader(
    command: str, name: str, form: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    arguments = [command, str(model(name).path), "-d", "nucleo-l4r5zi", "--no-cache", "-f", form, "--color", "never"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    printed = (captured.out + captured.err).replace("\n", "")
    assert all(character.isprintable() for character in printed)
    # As the file spells them: behind a name's escape sequence, behind a description's NUL.
    if form in ("html", "markdown", "junit"):
        assert "31m<script>" not in printed and "00<b>" not in printed


@needs_shared
@pytest.mark.parametrize("command", ["ops", "verify", "fit", "plan"])
def test_other_commands_print_no_control_character_either(command: str, capsys: Capture, tmp_path: Path) -> None:
    options = {"verify": ["--count", "1"], "plan": ["-o", str(tmp_path / "out.tflite")]}.get(command, [])
    assert main([command, str(model("bad_name_ctrl_chars").path), *options]) in (0, 1)
    captured = capsys.readouterr()
    assert all(character.isprintable() for character in (captured.out + captured.err).replace("\n", ""))
