"""Many models in one run: time and memory of one `check`, which must not pile up what it has read.

The files are copies of the samples under names of their own, without stored results, so that each is read and analysed.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import table, write

COUNTS = (100, 1_000, 10_000)
SAMPLES = sorted((Path(__file__).resolve().parents[1] / "samples").glob("*_int8.tflite"))
# Prints the process's own use after the command: seconds of user and system time, KiB of memory at the most.
PROGRAM = (
    "import resource, sys; from mcuprof.cli import main; code = main(); use = resource.getrusage(resource.RUSAGE_SELF);"
    "print(use.ru_utime + use.ru_stime, use.ru_maxrss, file=sys.stderr); sys.exit(code)"
)


def run() -> None:
    """Writes `results/many.md`."""
    print(write("many", "Many models in one run", [measured()]))


def measured() -> str:
    """CPU and wall seconds and MiB at the most, for each number of models."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, sample in zip(range(max(COUNTS)), itertools.cycle(SAMPLES), strict=False):
            shutil.copy(sample, Path(folder) / f"m{number:05}.tflite")
        names = sorted(path.name for path in Path(folder).iterdir())
        for count in COUNTS:
            command = [sys.executable, "-c", PROGRAM, "check", *names[:count], "-d", "nucleo-l4r5zi", "--no-cache"]
            start = time.monotonic()
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=True,
            )
            cpu, kib = done.stderr.split()
            rows.append(
                [f"{count:,}", float(cpu), 1000 * float(cpu) / count, time.monotonic() - start, int(kib) / 1024]
            )
    head = ["models", "CPU s", "CPU ms a model", "wall s", "MiB at the most"]
    return table("mcuprof check of N files (the samples, copied), one process", head, rows)
