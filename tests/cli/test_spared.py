"""No command writes its result over a file that it has read, under whatever name."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mcuprof.cli import main
from mcuprof.hardware import database_path

MODEL = Path(__file__).resolve().parents[2] / "samples" / "ds_cnn_int8.tflite"
DEVICE = database_path() / "devices" / "stm32l4r5zi.toml"
_SCRIPT = "MEMORY { FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 1M  RAM (rw) : ORIGIN = 0x20000000, LENGTH = 64K }\n"
CONFIG = """\
[defaults]
baseline = "base.json"
[targets.board]
device = "own.toml"
[[models]]
path = "model.tflite"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """One of each file that a command reads, and a second name for the model."""
    monkeypatch.chdir(tmp_path)
    for name in ("model.tflite", "other.tflite", "table.csv.partial"):
        Path(name).write_bytes(MODEL.read_bytes())
    os.link("model.tflite", "link.tflite")
    Path("own.toml").write_text(DEVICE.read_text(encoding="utf-8"), encoding="utf-8")
    Path("script.toml").write_text(_SCRIPT, encoding="utf-8")
    Path("runs.toml").write_text("model,ms\nmodel.tflite,100\n", encoding="utf-8")
    Path("mcuprof.toml").write_text(CONFIG, encoding="utf-8")
    assert main(["check", "model.tflite", "-f", "json", "-o", "result.json"]) == 0
    assert main(["baseline", "update"]) == 0
    Path("into").mkdir()
    Path("into", "model.tflite").symlink_to(Path("other.tflite").absolute())
    capsys.readouterr()
    return tmp_path


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
@pytest.mark.parametrize(
    "command",
    [
        "check model.tflite -d own.toml -o link.tflite",
        "check model.tflite -d own.toml -o own.toml",
        "check -o mcuprof.toml",
        "check -o base.json",
        "analyze model.tflite -f json -o model.tflite",
        "fit model.tflite -o link.tflite",
        "sweep model.tflite other.tflite -d own.toml -f csv -o other.tflite",
        "sweep model.tflite -d own.toml -o own.toml",
        "sweep table.csv.partial -d own.toml -o table.csv",
        "diff model.tflite other.tflite -f json -o other.tflite",
        "diff other.tflite model.tflite -o link.tflite",
        "diff model.tflite other.tflite -d own.toml -o own.toml",
        "diff HEAD:model.tflite other.tflite -o model.tflite",
        "report result.json -o result.json",
        "baseline check -o model.tflite",
        "baseline check -f json -o base.json",
        "plan model.tflite -o link.tflite",
        "plan model.tflite --strip -o model.tflite",
        "plan model.tflite -d own.toml --emit json -o own.toml",
        "plan model.tflite other.tflite --share-arena -o into",
        "calibrate own.toml runs.toml -o runs.toml",
        "devices import script.toml -o script.toml",
        "devices import script.toml --like own.toml -o own.toml",
    ],
)
def test_what_is_read_is_never_written_over(folder: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(command.split()) == 2
    assert " itself" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@needs_git
@pytest.mark.parametrize(
    ("old", "target"),
    [
        ("HEAD:sub/model.tflite", "model.tflite"),
        ("HEAD:./model.tflite", "model.tflite"),
        ("HEAD:../other.tflite", "../other.tflite"),
        ("HEAD:other.tflite", "../other.tflite"),
        ("HEAD:sub/model.tflite", "../sub/model.tflite"),
    ],
)
def test_a_model_named_by_revision_is_spared_below_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], old: str, target: str
) -> None:
    """GITREV:PATH counts from the repository's root unless it begins with a dot, wherever mcuprof was started."""
    repository(tmp_path)
    monkeypatch.chdir(tmp_path / "sub")
    assert main(["diff", old, "new.tflite", "-f", "json", "-o", target]) == 2
    assert capsys.readouterr().err == f"mcuprof: error: -o {target} is the model itself\n"
    assert Path(target).read_bytes() == MODEL.read_bytes()


@needs_git
def test_a_namesake_of_a_model_in_the_root_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository(tmp_path)
    monkeypatch.chdir(tmp_path / "sub")
    assert main(["diff", "HEAD:other.tflite", "new.tflite", "-f", "json", "-o", "other.tflite"]) == 0
    assert Path("other.tflite").read_bytes().startswith(b"{")


def repository(root: Path) -> None:
    """With two models, one in a folder `sub`, where a third one is not known to git."""
    (root / "sub").mkdir()
    for name in ("other.tflite", "sub/model.tflite"):
        (root / name).write_bytes(MODEL.read_bytes())
    git = ["git", "-C", str(root), "-c", "user.name=u", "-c", "user.email=u@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "models"]):
        subprocess.run([*git, *command], check=True)
    (root / "sub" / "new.tflite").write_bytes(MODEL.read_bytes())
