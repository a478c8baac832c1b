"""The same input gives the same bytes: in every run, whatever Python's hash seed and whatever ends a line here.

That the number of processes changes nothing is shown in tests/sweep.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcuprof.cli import main
from mcuprof.report import FORMATS
from tests.cli.test_output import ROOT

SAMPLES = ROOT / "samples"
DEVICE = ("-d", "nucleo-l4r5zi")
CONFIG = """\
[targets.door]
device = "nucleo-l4r5zi"

[targets.door.budget]
ram = "2K"

[[models]]
path = "*.tflite"
"""
Capture = pytest.CaptureFixture[str]


def commands() -> dict[str, list[str]]:
    """What is compared, by a name: every format of every kind of report, and the files that are written."""
    digits, other = "digits.tflite", "ds_cnn.tflite"
    found = {f"check {form}": ["check", digits, other, *DEVICE, "-f", form, "--no-cache"] for form in FORMATS}
    found |= {f"analyze {form}": ["analyze", digits, *DEVICE, "-f", form] for form in FORMATS}
    found |= {
        "plan": ["plan", digits, "-o", "out.tflite"],
        "ops": ["ops", digits],
        "verify": ["verify", digits, "-f", "json", "--count", "1"],
        "fit": ["fit", digits],
        "sweep": ["sweep", digits, *DEVICE, "--order", "as-is", "--order", "optimal", "-f", "csv", "-j", "1"],
        "baseline": ["baseline", "update", digits, other, *DEVICE, "--no-cache", "--baseline", "baseline.json"],
        "diff": ["diff", digits, other, *DEVICE],
    }
    return found


def digests() -> dict[str, str]:
    """Digest of what each command prints, with the files it wrote."""
    found = {}
    for name, arguments in commands().items():
        sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        code = main(arguments)
        sys.stdout.flush()
        digest = hashlib.sha256(str(code).encode() + sys.stdout.buffer.getvalue())
        for written in ("out.tflite", "baseline.json"):
            if Path(written).exists():
                digest.update(Path(written).read_bytes())
                Path(written).unlink()
        found[name] = digest.hexdigest()
    sys.stdout = sys.__stdout__
    return found


def folder(path: Path) -> Path:
    for name in ("digits", "ds_cnn"):
        shutil.copy(SAMPLES / f"{name}_int8.tflite", path / f"{name}.tflite")
    return path


def test_hash_seeds_and_runs_change_nothing(tmp_path: Path) -> None:
    folder(tmp_path)
    program = "import json; from tests.test_determinism import digests; print(json.dumps(digests()))"
    answers = []
    for seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        environment.pop("GITHUB_STEP_SUMMARY", None)
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout))
    assert set(answers[0]) == set(commands())
    assert answers[0] == answers[1]


@pytest.mark.parametrize("form", list(FORMATS))
def test_lines_end_alike_on_every_system(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """On Windows text streams write CR LF for every line; what is published must not depend on it."""
    monkeypatch.chdir(folder(tmp_path))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    arguments = ["check", "digits.tflite", *DEVICE, "-f", form, "--no-cache", "--color", "never"]
    windows = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\r\n")
    monkeypatch.setattr(sys, "stdout", windows)
    assert main(arguments) == 0
    windows.flush()
    printed = windows.buffer.getvalue()
    assert b"\r" not in printed and printed.endswith(b"\n")
    assert main([*arguments, "-o", "file"]) == 0
    assert Path("file").read_bytes() == printed


def test_what_people_edit_may_end_lines_either_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The config, whose lines findings point at, and the baseline, as git checks them out on Windows."""
    monkeypatch.chdir(folder(tmp_path))
    answers = []
    for ending in ("\n", "\r\n"):
        Path("mcuprof.toml").write_bytes(CONFIG.replace("\n", ending).encode())
        assert main(["check", "-f", "sarif", "--no-cache"]) == 1
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] and '"startLine": 5' in answers[0]
    assert main(["baseline", "update", "-q", "--no-cache"]) == 0
    baseline = Path(".mcuprof-baseline.json")
    checked_out = baseline.read_bytes().replace(b"\n", b"\r\n")
    baseline.write_bytes(checked_out)
    assert main(["baseline", "check", "--no-cache"]) == 0
    assert main(["baseline", "update", "-q", "--no-cache"]) == 0
    assert baseline.read_bytes() == checked_out  # nothing changed, so nothing is written
