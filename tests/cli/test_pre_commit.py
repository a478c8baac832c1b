"""The hooks under the real pre-commit program, where it is installed: what it selects, passes on and shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_output import MAIN, ROOT
from tests.cli.test_project import CONFIG, SAMPLES, git

# Beside the Python that runs the tests first: a virtual environment need not be on the PATH.
PROGRAM = shutil.which("pre-commit", path=str(Path(sys.executable).parent)) or shutil.which("pre-commit")
HOOKS = ROOT / ".pre-commit-hooks.yaml"


def test_hooks_select_models_and_configs() -> None:
    patterns = re.findall(r"^  files: '(.*)'$", HOOKS.read_text(encoding="utf-8"), re.MULTILINE)
    models, configs, both = map(re.compile, patterns)
    for name, is_model, is_config in (
        ("models/a.tflite", True, False),
        ("a.onnx", True, False),
        ("mcuprof.toml", False, True),
        ("sub/.mcuprof.toml", False, True),
        ("pyproject.toml", False, True),
        (".mcuprof-baseline.json", False, True),
        ("a.tflite.md", False, False),
        ("notmcuprof.toml", False, False),
    ):
        assert (bool(models.search(name)), bool(configs.search(name))) == (is_model, is_config), name
        assert bool(both.search(name)) == (is_model or is_config)


@pytest.mark.skipif(PROGRAM is None, reason="the program pre-commit is not installed")
def test_it_passes_and_then_fails_with_the_reason_on_one_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PROGRAM is not None
    subprocess.run([PROGRAM, "validate-manifest", str(HOOKS)], check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = tmp_path / "mcuprof"
    script.write_text(f"#!{sys.executable}\n{MAIN}\n")
    script.chmod(0o755)
    # The hooks as published, but run from this checkout: nothing is installed.
    hooks = HOOKS.read_text(encoding="utf-8").split("- id: mcuprof-baseline")[0]
    hooks = hooks.replace("language: python", "language: system").replace("entry: mcuprof", f"entry: {script}")
    repo = tmp_path / "repo"
    (repo / "models").mkdir(parents=True)
    monkeypatch.chdir(repo)
    indented = "".join(f"      {line}\n" for line in hooks.splitlines())
    Path(".pre-commit-config.yaml").write_text(f"repos:\n  - repo: local\n    hooks:\n{indented}")
    Path("mcuprof.toml").write_text(CONFIG.format(ram="64K"))
    shutil.copy(SAMPLES / "ds_cnn_int8.tflite", "models/kws.tflite")
    shutil.copy(SAMPLES / "digits_int8.tflite", "models/digits.tflite")
    git("init", "-q")
    git("add", "-A")

    def commit_check() -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(PROGRAM), "run"], capture_output=True, text=True, check=False)

    first = commit_check()
    assert first.returncode == 0 and first.stdout.count("Passed") == 2, first.stdout + first.stderr
    git("commit", "-qm", "x")
    shutil.copy(SAMPLES / "mobilenet_v1_025_96_int8.tflite", "models/kws.tflite")
    git("add", "-A")
    second = commit_check()
    assert second.returncode == 1
    assert "over the RAM budget of 64.0 KiB (mcuprof.toml:5)" in " ".join(second.stdout.split())
    assert len(second.stdout.splitlines()) <= 24
