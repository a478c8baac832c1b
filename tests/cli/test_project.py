"""A project with two models and a config, as a user has it: check, baseline, diff, init on real files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcuprof.cli import main
from mcuprof.document import decode
from tests.cli.test_output import ROOT, posix, run

Capture = pytest.CaptureFixture[str]
SAMPLES = ROOT / "samples"
CONFIG = """\
[targets.door]
device = "nucleo-l4r5zi"

[targets.door.budget]
ram = "{ram}"

[[models]]
path = "models/*.tflite"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "models").mkdir()
    shutil.copy(SAMPLES / "ds_cnn_int8.tflite", tmp_path / "models" / "kws.tflite")
    shutil.copy(SAMPLES / "digits_int8.tflite", tmp_path / "models" / "digits.tflite")
    configure("64K")
    return tmp_path


def configure(ram: str, extra: str = "") -> None:
    Path("mcuprof.toml").write_text(extra + CONFIG.format(ram=ram), encoding="utf-8")


def grow() -> None:
    """kws.tflite becomes a model with more of everything."""
    shutil.copy(SAMPLES / "mobilenet_v1_025_96_int8.tflite", "models/kws.tflite")


def test_without_arguments_all_models_of_the_config(project: Path, capsys: Capture) -> None:
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert out.count("FITS  models/") == 2 and "on door (stm32l4r5zi)" in out and out.endswith("2 of 2 fit\n")
    assert main(["check", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_reason_is_on_one_screen(project: Path, capsys: Capture) -> None:
    grow()
    assert main(["check", "-q"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("DOES NOT FIT  models/kws.tflite on door") and len(out.splitlines()) <= 15
    assert "over the RAM budget of 64.0 KiB (mcuprof.toml:5)" in " ".join(out.split())
    assert "digits" not in out


def test_files_that_the_config_knows_and_others(project: Path, capsys: Capture) -> None:
    shutil.copy("models/kws.tflite", "other.tflite")
    assert main(["check", "other.tflite", "./models/kws.tflite"]) == 0
    captured = capsys.readouterr()
    assert "other" not in captured.out and "door" in captured.out
    assert captured.err.startswith("other.tflite: not judged: mcuprof.toml does not name it")
    assert main(["check", "other.tflite", "models/kws.tflite", "-d", "nrf52840"]) == 0
    out = capsys.readouterr().out
    assert "other.tflite on nrf52840" in out and "kws.tflite on door" in out
    assert main(["check", "models/kws.tflite", "--isolated", "-d", "nrf52840"]) == 0
    assert "door" not in capsys.readouterr().out
    assert main(["check", "nothing.tflite"]) == 3


def test_the_config_is_found_from_the_models_folder_upward(
    project: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert main(["check", str(project / "models" / "kws.tflite")]) == 0
    assert "on door" in capsys.readouterr().out.replace("\n ", "")
    assert main(["check"]) == 2
    assert "no mcuprof.toml here or above" in capsys.readouterr().err
    assert main(["check", "--config", str(project / "mcuprof.toml"), "-q"]) == 0
    monkeypatch.chdir(project / "models")
    assert main(["check"]) == 0
    assert "FITS  kws.tflite on door" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("models/*", "model/*", "mcuprof.toml:8: models.path: 'model/*.tflite' matches no file in ."),
        ("nucleo-l4r5zi", "nucleo-x", "mcuprof.toml:2: targets.door: unknown device 'nucleo-x'"),
        ('device = "nucleo-l4r5zi"', "", "mcuprof.toml:5: budget.ram: 50 % of the device's RAM, of which no size"),
        (
            "[targets.door]\n",
            '[targets.door]\nreserve = { DTCM = "1K" }\n',
            "mcuprof.toml:3: targets.door: stm32l4r5zi has",
        ),
        ("ram =", "rom =", "mcuprof.toml:5: targets.door.budget.rom: unknown key; did you mean ram?"),
    ],
)
def test_a_wrong_config_is_one_line(project: Path, capsys: Capture, before: str, after: str, message: str) -> None:
    configure("50%")
    text = Path("mcuprof.toml").read_text()
    assert before in text
    Path("mcuprof.toml").write_text(text.replace(before, after, 1))
    assert main(["check"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"mcuprof: error: {message}") and captured.err.count("\n") == 1
    assert captured.out == ""


def test_config_and_command_line_do_not_contradict(project: Path, capsys: Capture) -> None:
    assert main(["check", "-d", "nrf52840"]) == 2
    assert "-d goes with models on the command line" in capsys.readouterr().err
    assert main(["check", "--isolated"]) == 2
    assert main(["check", "--config", "x", "--isolated"]) == 2
    assert main(["check", "--ram", "10K", "-q"]) == 1  # an ad-hoc capacity holds for all targets


def test_ignore_and_fail_on(project: Path, capsys: Capture) -> None:
    note = ("check", "samples.tflite", "--isolated")
    shutil.copy("models/kws.tflite", "samples.tflite")
    assert main([*note]) == 0
    assert main([*note, "--fail-on", "note"]) == 1
    assert main([*note, "--fail-on", "note", "--ignore", "C901,m106", "--ignore", "F203"]) == 0
    assert main([*note, "--ignore", "M101"]) == 2
    assert "M101 (needs more RAM than the region has) cannot be ignored" in capsys.readouterr().err


def test_unjudged_is_said_even_quietly(project: Path, capsys: Capture) -> None:
    assert main(["check", "models/kws.tflite", "--isolated", "-q"]) == 0
    assert "not judged: no device, no budget, no config" in capsys.readouterr().err


def test_a_lfs_pointer_is_recognised(project: Path, capsys: Capture) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    Path("models/kws.tflite").write_text(pointer)
    assert main(["check", "-q"]) == 3
    assert capsys.readouterr().err == (
        "mcuprof: error: models/kws.tflite: is a git-LFS pointer, not the model: run `git lfs pull`\n"
    )


def test_the_cache_changes_nothing_but_the_time(
    project: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "cache"))
    outputs = []
    for arguments in (["--no-cache"], [], []):
        assert main(["check", "-f", "json", *arguments]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    entries = list((project / "cache" / "mcuprof").iterdir())
    assert len(entries) == 2
    monkeypatch.setattr("mcuprof.cli.pipeline.read_model", None)  # nothing is read any more
    assert main(["check", "-q"]) == 0
    monkeypatch.undo()
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "cache"))
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:100])
    assert main(["check", "-f", "json"]) == 0
    captured = capsys.readouterr()
    assert captured.out == outputs[0] and captured.err.count("is ignored: its checksum is wrong") == 2


@pytest.mark.parametrize("format", ["text", "json", "markdown", "sarif", "junit", "github", "gitlab", "openmetrics"])
def test_two_runs_equal_bytes(project: Path, capsys: Capture, format: str) -> None:
    configure("20K")
    runs = []
    for _ in range(2):
        assert main(["check", "-f", format, "--no-cache"]) == 1
        runs.append(capsys.readouterr().out)
    assert runs[0] == runs[1] and runs[0]


def test_the_step_summary_is_added_to(project: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = project / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert main(["check", "-f", "text"]) == 0
    assert summary.read_text() == "before\n"
    assert main(["check", "-f", "github"]) == 0
    assert summary.read_text().startswith("before\n| verdict | model |")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project / "no" / "folder"))
    assert main(["check", "-f", "github"]) == 2
    assert "cannot write the step summary" in capsys.readouterr().err


# baseline -------------------------------------------------------------------------------------------------------------


def test_the_life_of_a_baseline(project: Path, capsys: Capture) -> None:
    configure("640K", '[defaults]\nbaseline = "sizes.json"\n')
    assert main(["baseline", "check"]) == 2
    assert "no baseline sizes.json (mcuprof baseline update writes it)" in capsys.readouterr().err
    assert main(["check", "--fail-on", "warning", "-q"]) == 1  # R702 is a warning there
    capsys.readouterr()
    assert main(["baseline", "update"]) == 0
    first = Path("sizes.json").read_bytes()
    assert list(json.loads(first)["entries"]) == ["models/digits.tflite|door", "models/kws.tflite|door"]
    assert main(["baseline", "check", "-q"]) == 0 and main(["check", "-q"]) == 0
    assert main(["baseline", "update"]) == 0
    assert Path("sizes.json").read_bytes() == first
    grow()
    capsys.readouterr()
    assert main(["baseline", "check", "-q"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("GREW  models/kws.tflite on door") and "R701" in out and "digits" not in out
    assert main(["check", "-q"]) == 1  # the budget holds, the ratchet does not
    Path("models/digits.tflite").unlink()
    assert main(["baseline", "update", "models/kws.tflite", "-q"]) == 0
    assert main(["baseline", "prune"]) == 0
    assert "- models/digits.tflite|door" in capsys.readouterr().out
    assert list(json.loads(Path("sizes.json").read_bytes())["entries"]) == ["models/kws.tflite|door"]
    assert main(["baseline", "check", "-q"]) == 0


def test_a_baseline_is_whole_or_unchanged(project: Path, capsys: Capture) -> None:
    assert main(["baseline", "update", "-q"]) == 0
    path = project / ".mcuprof-baseline.json"
    before = path.read_bytes()
    grow()
    Path("models/digits.tflite").write_bytes(b"")
    assert main(["baseline", "update"]) == 3
    assert path.read_bytes() == before and "was not changed" in capsys.readouterr().err
    path.write_bytes(before.replace(b'"schema_version": 1', b'"schema_version": 2'))
    assert main(["baseline", "check"]) == 2
    assert "a baseline of version 2; this mcuprof reads 1: update mcuprof" in capsys.readouterr().err


def test_a_baseline_without_a_config(project: Path, capsys: Capture) -> None:
    arguments = ["models/kws.tflite", "--isolated", "-d", "nrf52840", "--baseline", "b.json"]
    assert main(["baseline", "update", *arguments]) == 0
    assert list(json.loads(Path("b.json").read_bytes())["entries"]) == ["models/kws.tflite|nrf52840"]
    assert main(["baseline", "check", *arguments, "-q"]) == 0
    assert main(["baseline", "prune", "models/kws.tflite"]) == 2


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(project: Path, capsys: Capture) -> None:
    project.chmod(0o555)
    try:
        assert main(["baseline", "update"]) == 2
        assert "permission denied" in capsys.readouterr().err
    finally:
        project.chmod(0o755)


# diff -----------------------------------------------------------------------------------------------------------------


def git(*arguments: str) -> None:
    identity = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *arguments], check=True, capture_output=True, env={**os.environ, **identity})


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_diff_against_a_revision(project: Path, capsys: Capture) -> None:
    for step in (["init", "-q"], ["add", "models"], ["commit", "-qm", "x"]):
        git(*step)
    grow()
    assert main(["diff", "HEAD:models/kws.tflite", "models/kws.tflite", "-d", "nrf52840", "-f", "json"]) == 0
    revision = json.loads(capsys.readouterr().out)
    old = SAMPLES / "ds_cnn_int8.tflite"
    assert main(["diff", str(old), "models/kws.tflite", "-d", "nrf52840", "-f", "json"]) == 0
    files = json.loads(capsys.readouterr().out)
    assert {**revision, "old": ""} == {**files, "old": ""} and revision["old"] == "HEAD:models/kws.tflite"
    for arguments, code, message in (
        (["HEAD:nothing.tflite", "models/kws.tflite"], 3, "HEAD:nothing.tflite: "),
        (["NOREV:models/kws.tflite", "models/kws.tflite"], 3, "NOREV:models/kws.tflite: "),
        (["HEAD:models", "models/kws.tflite"], 3, "is a folder, not a model"),
        (["HEAD:", "models/kws.tflite"], 2, "not a file, and not GITREV:PATH"),
        (["nothing", "models/kws.tflite"], 3, "nothing: no such file"),
    ):
        assert main(["diff", *arguments]) == code
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_diff_is_sorted_and_adds_up(project: Path, capsys: Capture) -> None:
    grow()
    old, new = str(SAMPLES / "ds_cnn_int8.tflite"), "models/kws.tflite"
    assert main(["diff", old, new, "-d", "nrf52840", "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    facts = []
    for path in (old, new):
        assert main(["analyze", path, "-d", "nrf52840", "-f", "json"]) == 0
        facts.append(decode(capsys.readouterr().out.encode()).results[0])
    totals = {change["name"].strip(): change["new"] - change["old"] for change in document["totals"]}
    assert totals["MACs"] == facts[1].model.macs - facts[0].model.macs
    assert totals["flash"] == facts[1].flash.total_bytes - facts[0].flash.total_bytes
    deltas = [(change["new"] or 0) - (change["old"] or 0) for change in document["operators"]]
    assert sum(deltas) == totals["MACs"]
    for part in ("tensors", "operators"):
        deltas = [(change["new"] or 0) - (change["old"] or 0) for change in document[part]]
        rising = [delta for delta in deltas if delta > 0]
        assert deltas[: len(rising)] == sorted(rising, reverse=True)
        assert deltas[len(rising) :] == sorted(deltas[len(rising) :])
    assert main(["diff", new, new]) == 0
    assert capsys.readouterr().out.count("no change") == 2


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_diff_for_people(project: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["diff", str(SAMPLES / "ds_cnn_int8.tflite"), "models/digits.tflite", "-f", format]) == 0
    out = capsys.readouterr().out
    assert "Tensors, bytes" in out and "Operators, MACs" in out
    assert format == "markdown" or max(map(len, out.splitlines())) <= 40


# init -----------------------------------------------------------------------------------------------------------------


def test_what_init_writes_works(project: Path, capsys: Capture) -> None:
    Path("mcuprof.toml").unlink()
    assert main(["init", "-d", "nucleo-l4r5zi", "--pre-commit"]) == 0
    text = Path("mcuprof.toml").read_text()
    assert "# models/digits.tflite\n# models/kws.tflite\n" in text
    assert main(["check", "-q"]) == 0
    assert "id: mcuprof-check" in Path(".pre-commit-config.yaml").read_text()
    capsys.readouterr()
    assert main(["init", "-d", "nucleo-l4r5zi"]) == 2
    assert "mcuprof.toml is there already and was not changed" in capsys.readouterr().err
    assert Path("mcuprof.toml").read_text() == text
    # every commented line is one that may be uncommented
    lines = text.splitlines()
    everything = "\n".join(line.removeprefix("# ") if " = " in line or line[:3] == "# [" else line for line in lines)
    everything = everything.replace("SRAM1", "SRAM").replace("{ image = [1, 96, 96, 3] }", "{}")
    Path("mcuprof.toml").write_text(everything)
    assert main(["check", "-q", "--fail-on", "error"]) in (0, 1)
    assert "error" not in capsys.readouterr().err


def test_init_does_not_guess_a_device(project: Path, capsys: Capture) -> None:
    Path("mcuprof.toml").unlink()
    assert main(["init"]) == 0
    assert main(["check"]) == 2
    assert "unknown device 'change-me'" in capsys.readouterr().err


def test_init_overwrites_nothing(project: Path, capsys: Capture) -> None:
    Path("mcuprof.toml").unlink()
    Path(".pre-commit-config.yaml").write_text("repos: []\n")
    assert main(["init", "--pre-commit"]) == 0
    assert Path(".pre-commit-config.yaml").read_text() == "repos: []\n"
    assert "add to .pre-commit-config.yaml under repos:" in capsys.readouterr().out
    assert main(["init", "--dry-run", "--pre-commit"]) == 0
    assert main(["init", "nowhere"]) == 2
    assert main(["init", "-d", "nowhere"]) == 2


def test_init_schema_is_the_configs(capsys: Capture) -> None:
    from mcuprof.budgets.config_schema import config_schema

    assert main(["init", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(config_schema()))


# from outside ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_other_locales_and_narrow_terminals(project: Path, encoding: str) -> None:
    configure("1K")
    for arguments in (["check"], ["check", "-f", "junit"], ["check", "-f", "sarif"], ["baseline", "update"]):
        done = run(*arguments, PYTHONIOENCODING=encoding, COLUMNS="40", LC_ALL="C")
        assert done.returncode in (0, 1) and b"Traceback" not in done.stderr
        assert done.stdout.isascii() and done.stdout
        if arguments == ["check"]:
            assert max(map(len, done.stdout.splitlines())) <= 40


@posix
def test_a_reader_that_leaves(project: Path) -> None:
    command = f"{sys.executable} -c 'import sys; from mcuprof.cli import main; sys.exit(main())'"
    for arguments in ("check -f sarif", "diff models/kws.tflite models/digits.tflite", "init --schema"):
        done = subprocess.run(
            ["sh", "-c", f"{command} {arguments} | head -c 1 >/dev/null"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )
        assert done.stderr == b""
