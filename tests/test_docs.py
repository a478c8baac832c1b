"""The documentation does what it says: every command, config and program in it is run, in order, in a fresh folder."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcuprof.cli import COMMANDS, main
from mcuprof.report import FORMATS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
MODELS = {
    "model.tflite": "ds_cnn_int8",
    "vision.tflite": "mobilenet_v1_025_96_int8",
    "vision_qdq.onnx": "mobilenet_v1_025_96_qdq",
    "models/keyword.tflite": "ds_cnn_int8",
    "models/digits.tflite": "digits_int8",
}
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FLAG = re.compile(r"(?<![\w-])(--?[a-z][a-z-]*)")


@dataclass(frozen=True)
class Command:
    """A line `$ mcuprof …`, the exit code it states, and what it is shown to print ("…": any lines)."""

    words: list[str]
    exit_code: int
    shown: str


def blocks(page: Path) -> list[tuple[str, str, str]]:
    return [(kind, title, text) for kind, title, text in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        stated = re.search(r"# exit code (\d)$", line)
        program, *words = shlex.split(line, comments=True)
        assert program == "mcuprof", line
        yield Command(words, int(stated[1]) if stated else 0, shown)


def all_commands() -> list[Command]:
    return [c for page in PAGES for kind, _, text in blocks(page) if kind == "console" for c in commands(text)]


def shown_by(shown: str, printed: str) -> bool:
    """Whether `printed` is what the page shows, a line `…` standing for any number of lines."""
    pattern = "".join("(?:.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in shown.splitlines())
    return re.fullmatch(pattern, printed) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_is_so(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, sample in MODELS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "samples" / f"{sample}{Path(name).suffix}", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program: dict[str, object] = {}
    for kind, title, text in blocks(page):
        if title:
            Path(title).write_text(text, encoding="utf-8")
        if kind == "python":
            exec(compile(text, str(page), "exec"), program)  # what a reader would paste
            capsys.readouterr()
        for command in commands(text) if kind == "console" else ():
            assert main(command.words) == command.exit_code, command.words
            printed = capsys.readouterr().out
            assert shown_by(command.shown, printed), f"{command.words} prints\n{printed}"


def test_every_flag_and_command_in_the_prose_was_run() -> None:
    flags = {word for command in all_commands() for word in command.words if word.startswith("-")}
    names = {command.words[0] for command in all_commands()}
    for page in PAGES:
        prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
        for code in re.findall(r"`([^`\n]+)`", prose):
            words = code.split()
            assert words[0] != "mcuprof" or len(words) == 1 or words[1] in names, f"{page.name}: {code}"
            if words[0] in {"mcuprof", *names} or words[0].startswith("--"):
                unknown = set(_FLAG.findall(code)) - flags - {"--debug", "--pre-commit"}
                assert not unknown, f"{page.name}: {code}"
    assert names <= set(COMMANDS)


def test_every_format_is_shown() -> None:
    words = [word for command in all_commands() for word in command.words]
    assert set(FORMATS) <= {*words, "text"}


def test_the_figures_of_trust_are_those_of_the_validation() -> None:
    trust = " ".join((ROOT / "docs" / "trust.md").read_text(encoding="utf-8").split())
    text = (ROOT / "device_db" / "VALIDATION.md").read_text(encoding="utf-8")
    tables = text.partition("## Energy")[0].split("## Cycles")
    instructions, cycles = (
        [row.split("|")[1:-1] for row in re.findall(r"^\| .*$", t, re.MULTILINE)[1:]] for t in tables
    )
    medians, worst = ([float(row[at].strip(" %")) for row in instructions] for at in (4, 6))
    assert f"median error is {min(medians):.1f} % to {max(medians):.1f} %, the worst {max(worst):.0f} %" in trust
    assert f"{sum(int(row[3]) for row in cycles)} of them in {len(cycles)} pairs" in trust
    every, many = re.findall(r"^- (?:all pairs|pairs of nine .*?): \d+ rows, median ([\d.]+)%", tables[1], re.MULTILINE)
    assert f"median error is {every} %, and {many} % where" in trust
    assert f"holds {re.findall('band holds ([0-9]+)%', tables[1])[0]} % of them" in trust


def test_a_page_that_lies_is_found_out() -> None:
    assert shown_by("a\n…\nd\n", "a\nb\nc\nd\n") and shown_by("", "")
    assert not shown_by("a\n…\nd\n", "a\nb\n")
    assert not shown_by("", "a\n")
    (failing,) = commands("$ mcuprof check x  # exit code 1\nno\n")
    assert (failing.words, failing.exit_code, failing.shown) == (["check", "x"], 1, "no\n")


@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="mkdocs-material is not installed")
def test_the_site_builds(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "leave-one-model-out" in (tmp_path / "site" / "validation" / "index.html").read_text(encoding="utf-8")
