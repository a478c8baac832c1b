"""SIGKILL, SIGTERM and SIGINT at random moments: a file is the old or the new, whole, and the next run works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OPERATIONS = ("plan", "baseline", "cache")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and POSIX signals")


def killed(folder: Path, operation: str, moments: int, seed: int) -> None:
    command = [sys.executable, "-m", "tests.kills", str(folder), operation, str(moments), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(operation, found)
    assert found["defects"] == []
    assert found["left"]["old"] + found["left"].get("new", 0) == moments
    assert found["codes"].get("-9", 0) > 0


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_few_moments(operation: str, tmp_path: Path) -> None:
    killed(tmp_path, operation, 12, 5)


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_three_hundred_moments_in_each(operation: str, tmp_path: Path) -> None:
    killed(tmp_path, operation, 300, 11)
