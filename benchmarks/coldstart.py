"""Cold start: CPU time of whole processes, from nothing to the last byte, ours beside others' on the same model.

Every command is run in turn, so that all see the same machine; medians. The floor is a Python that imports NumPy.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.table import table, write

ROUNDS = 9
MODEL = Path(__file__).resolve().parents[1] / "samples" / "ds_cnn_int8.tflite"
FLOOR = 'python -c "import numpy"'


def run() -> None:
    """Writes `results/coldstart.md`."""
    print(write("coldstart", "Cold start", [measured()]))


def measured() -> str:
    """CPU milliseconds (user and system, children included) and how many of them others need for one of ours."""
    with tempfile.TemporaryDirectory() as folder:
        # Installed packages have their bytecode; a checkout writes it in the first run, unless it is told not to.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        times = _race(_commands(Path(folder)), {**environment, "XDG_CACHE_HOME": folder}, folder)
    medians = {name: 1000 * statistics.median(spent) for name, spent in times.items()}
    ours = medians["mcuprof check"]
    rows = [[name, ms, min(times[name]) * 1000, ours / ms] for name, ms in medians.items()]
    head = ["command", "CPU ms, median", "CPU ms, least", "mcuprof check, times this"]
    return table(f"{MODEL.name}: {ROUNDS} runs of each, in turn", head, rows)


def _commands(folder: Path) -> dict[str, list[str]]:
    """Ours with and without stored results, the floors, and the peers that are installed."""
    here = Path(sys.executable).parent
    ours = [str(here / "mcuprof"), "check", str(MODEL), "-d", "nucleo-l4r5zi"]
    found = {
        "python -c pass": [sys.executable, "-c", "pass"],
        FLOOR: [sys.executable, "-c", "import numpy"],
        "mcuprof --version": [str(here / "mcuprof"), "--version"],
        "mcuprof check": [*ours, "--no-cache"],
        "mcuprof check, result stored before": ours,
    }
    if before := os.environ.get("MCUPROF_BEFORE"):  # a folder with another mcuprof, to compare with
        start = f"import sys; sys.path.insert(0, {before!r}); from mcuprof.cli import main; sys.exit(main())"
        found["mcuprof check, before"] = [sys.executable, "-c", start, *ours[1:], "--no-cache"]
    if shutil.which("mcufit", path=str(here)):
        found["mcufit check"] = [str(here / "mcufit"), "check", str(MODEL), "--board", "esp32-s3"]
    if shutil.which("vela", path=str(here)):
        vela = [str(here / "vela"), str(MODEL), "--accelerator-config", "ethos-u55-128", "--output-dir", str(folder)]
        found["vela"] = vela
    return found


def _race(commands: Mapping[str, list[str]], environment: Mapping[str, str], folder: str) -> dict[str, list[float]]:
    """Seconds of CPU of every run after the first, which warms the disk and the cache."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(ROUNDS + 1):
        for name, command in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if turn:
                times[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return times
