"""Ethos-U estimates beside Arm's own compiler: the table of its figures, and `ethos-u-vela` live on the same models.

`python -m benchmarks.npu --write` also renews `device_db/npu/validation.toml`, from which reports quote.
"""

from __future__ import annotations

import csv
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.table import table, write
from mcuprof.costs import NoData
from mcuprof.costs.npu import NpuEstimate, estimate, machine
from mcuprof.graph import Graph
from mcuprof.hardware import database_path, load_accelerator
from mcuprof.readers import read
from tests.corpus import MODELS, models
from tests.costs.npu.vela import FILES, estimated, rows

LIVE = (
    ("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram"),
    ("ethos-u65-512", "Ethos_U65_Embedded", "Shared_Sram"),
    ("ethos-u85-256", "Ethos_U85_SYS_Flash_High", "Shared_Sram"),
)
LARGEST_FILE = 6_000_000


def run() -> None:
    """Writes `results/npu.md`; says so where the corpus is absent."""
    if not models():
        print(f"no models at {MODELS}: nothing to compare")
        return
    print(write("npu", "Ethos-U estimates against Vela", [from_table(), *live()]))


def from_table() -> str:
    """Every accelerator of `vela_estimates.csv`: rows, those without an estimate, errors of cycles and SRAM."""
    found: dict[str, list[tuple[float, float] | None]] = {}
    for row in rows():
        mine = estimated(row) if row.model in FILES else None
        errors = None
        if isinstance(mine, NpuEstimate):
            errors = abs(mine.cycles / row.cycles - 1), abs(mine.sram_bytes - row.sram_bytes) / max(row.sram_bytes, 1)
        found.setdefault(row.accelerator, []).append(errors)
    every = [each for errors in found.values() for each in errors]
    if "--write" in sys.argv:
        _renew([each for each in every if each is not None])
    lines = [_line(name, errors) for name, errors in sorted(found.items())] + [_line("all", every)]
    return table("Against the table of Vela 5.2 (239 rows, 14 models)", HEAD, lines)


HEAD = [
    "",
    "rows",
    "estimated",
    "cycles within 15 %",
    "median error",
    "worst",
    "SRAM within 10 %",
    "median error",
    "worst",
]


def _line(name: str, errors: list[tuple[float, float] | None]) -> list[object]:
    known = [each for each in errors if each is not None]
    cells: list[object] = [name, len(errors), len(known)]
    for column, bound in ((0, 0.15), (1, 0.10)):
        values = [each[column] for each in known]
        near = sum(value <= bound for value in values)
        middle = f"{statistics.median(values):.1%}" if values else "-"
        cells += [near, middle, f"{max(values, default=0):.1%}"]
    return cells


def _renew(errors: list[tuple[float, float]]) -> None:
    path = database_path() / "npu" / "validation.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    head = lines[: lines.index("")]
    doubts = lines[lines.index("[doubts]") - 3 :]  # with what is said of them
    near, small = sum(each[0] <= 0.15 for each in errors), sum(each[1] <= 0.10 for each in errors)
    facts = [
        'compiler = "Vela 5.2"',
        f"rows = {len(errors)}",
        f"cycles_within_15_percent = {near}",
        f"sram_within_10_percent = {small}",
    ]
    path.write_text("\n".join([*head, "", *facts, *doubts, ""]), encoding="utf-8")


def live() -> list[str]:
    """All models of the corpus that Vela compiles, on three configurations, in the same run; times of both."""
    vela = shutil.which("vela") or str(Path(sys.executable).parent / "vela")
    if not Path(vela).is_file():
        return ["`ethos-u-vela` is not installed (`pip install 'mcuprof[bench]'`): no live comparison.\n"]
    errors: dict[str, list[tuple[float, float] | None]] = {}
    reasons: Counter[str] = Counter()
    off: list[list[object]] = []
    seconds = [0.0, 0.0]
    for each in models():
        if each.path.suffix != ".tflite" or each.name.startswith("bad_") or each.path.stat().st_size > LARGEST_FILE:
            continue
        graph = _graph(each.path)
        for accelerator, system, mode in LIVE if graph is not None else ():
            assert graph is not None
            begin = time.process_time()
            mine = _estimate(graph, accelerator, system, mode)
            seconds[0] += time.process_time() - begin
            begin = time.perf_counter()
            theirs = _vela(vela, each.path, accelerator, system, mode)
            seconds[1] += time.perf_counter() - begin
            if theirs is None:  # it fails on the model or leaves all of it to the host, on the next NPU too
                break
            if isinstance(mine, NoData):
                reasons[mine.reason] += 1
                errors.setdefault(accelerator, []).append(None)
                continue
            cycles, sram = theirs
            error = abs(mine.cycles / cycles - 1), abs(mine.sram_bytes - sram) / max(sram, 1)
            errors.setdefault(accelerator, []).append(error)
            if error[0] > 0.15 or error[1] > 0.10:
                off.append([each.name, accelerator, mine.cycles, int(cycles), mine.sram_bytes, int(sram)])
    every = [each for found in errors.values() for each in found]
    lines = [_line(name, found) for name, found in errors.items()] + [_line("all", every)]
    spent = f"Seconds for all: mcuprof {seconds[0]:.0f} (CPU), Vela {seconds[1]:.0f} (wall, start included).\n"
    head = ["model", "NPU", "cycles", "Vela", "SRAM", "Vela"]
    return [
        table("Against ethos-u-vela in the same run, models on which it puts anything", HEAD, lines),
        spent,
        table("No estimate", ["reason", "runs"], [[reason, count] for reason, count in reasons.most_common()]),
        table("Further off than 15 % or 10 %", head, off),
    ]


def _graph(path: Path) -> Graph | None:
    try:
        return read(path)
    except Exception:  # a corpus of broken models too: whatever it is, there is nothing to compare
        return None


def _estimate(graph: Graph, accelerator: str, system: str, mode: str) -> NpuEstimate | NoData:
    chip = load_accelerator(accelerator).ethos_u
    assert chip is not None
    return estimate(graph, machine(chip, system, mode))


def _vela(vela: str, path: Path, accelerator: str, system: str, mode: str) -> tuple[float, float] | None:
    """Cycles and bytes of SRAM by Vela; None where it fails or leaves everything to the host."""
    with tempfile.TemporaryDirectory() as folder:
        command = [vela, str(path), "--accelerator-config", accelerator, "--config", "Arm/vela.ini"]
        command += ["--system-config", system, "--memory-mode", mode, "--output-dir", folder]
        try:
            subprocess.run(command, capture_output=True, timeout=300, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None
        for summary in Path(folder).glob("*_summary_*.csv"):
            with summary.open(newline="", encoding="utf-8") as handle:
                row = next(csv.DictReader(handle))
            if float(row["cycles_total"]) > 0:
                return float(row["cycles_total"]), float(row["sram_memory_used"]) * 1024
    return None


if __name__ == "__main__":
    run()
