"""A real scheduler and two real workers on loopback; started once, for as long as these tests take."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from mcuprof.cli import main
from mcuprof.errors import UsageError
from mcuprof.sweep import Row, sweep
from mcuprof.sweep.cluster import cluster
from tests.sweep.hanging import ROOT, hanging
from tests.sweep.test_sweep import FILES, job, jobs

pytest.importorskip("distributed", reason="Dask is not installed")
pytestmark = pytest.mark.slow


@dataclass
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Cluster]:
    log = tmp_path / "scheduler.log"
    common = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with log.open("wb") as file:
        scheduler = subprocess.Popen([*command, "--no-dashboard"], stderr=file, stdout=file, env=common)
    workers: list[subprocess.Popen[bytes]] = []
    try:
        address = _address(log)
        for _ in range(2):
            command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
            workers.append(
                subprocess.Popen(
                    [*command, "--no-dashboard", "--local-directory", str(tmp_path)],
                    stderr=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=common,
                )
            )
        yield Cluster(address, scheduler, workers)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def _address(log: Path) -> str:
    for _ in range(300):
        found = re.search(r"Scheduler at:\s+(tcp://127\.0\.0\.1:\d+)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"no scheduler: {log.read_text()}")


def test_the_cluster_gives_the_same_table(dask: Cluster, tmp_path: Path) -> None:
    words = ["sweep", *map(str, FILES), str(tmp_path / "gone.tflite"), "-d", "nucleo-l4r5zi", "-d", "nucleo-h743zi"]
    assert main([*words, "-o", str(tmp_path / "a.csv"), "--scheduler", dask.address]) == 1
    assert main([*words, "-o", str(tmp_path / "b.csv"), "-j", "2"]) == 1
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_workers_that_die_cost_one_row(dask: Cluster) -> None:
    """The worker that hangs is killed, then the other, to which Dask gives the job next."""
    todo = [*jobs(), hanging(job(FILES[0]))]
    found: dict[int, Row] = {}
    for position, row, passing in cluster(todo, dask.address):
        found[position] = row
        assert passing is (position == len(todo) - 1)
        if len(found) == len(todo) - 1:
            for worker in dask.workers:
                time.sleep(1.0)
                worker.send_signal(signal.SIGKILL)
    assert sorted(found) == list(range(len(todo)))
    assert found[len(todo) - 1].error == "every worker that tried it died"
    assert [found[at] for at in range(len(todo) - 1)] == [
        msgspec.structs.replace(row, pareto=False) for row in sweep(jobs(), processes=1)
    ]


def test_a_scheduler_that_vanishes_loses_no_row(dask: Cluster, tmp_path: Path) -> None:
    todo = [*jobs(), *[hanging(job(FILES[0]))] * 3]
    journal = tmp_path / "t.partial"

    def kill(done: int, total: int, broken: int) -> None:
        if done == len(jobs()) - 4:
            dask.scheduler.kill()

    rows = sweep(todo, scheduler=dask.address, journal=journal, progress=kill)
    assert len(rows) == len(todo)
    assert {row.error for row in rows} == {None, f"the scheduler at {dask.address} vanished"}
    good = [row for row in rows if row.error is None]
    assert len(good) >= len(jobs()) - 4
    # What there was is kept, the rest is computed by another engine.
    counts: list[int] = []
    again = sweep(jobs(), processes=1, journal=journal, progress=lambda done, total, broken: counts.append(done))
    assert counts[0] == len(good) and again == sweep(jobs(), processes=1)


def test_no_scheduler_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"):
        list(cluster(jobs(), "tcp://127.0.0.1:9"))
