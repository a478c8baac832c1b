"""Rows by the workers of a Dask cluster. They see the same files under the same names, and have the same mcuprof."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from mcuprof.errors import UsageError
from mcuprof.sweep.rows import Job, Row, failed
from mcuprof.sweep.worker import compute

CONNECT_SECONDS = 10
# So many jobs are with the scheduler at a time: enough to keep workers busy, few enough to hold in its memory.
MAX_AT_ONCE = 2_000


def cluster(jobs: Sequence[Job], scheduler: str) -> Iterator[tuple[int, Row, bool]]:
    """As `local.local`, by the workers of the scheduler at the address `scheduler`, such as `tcp://host:8786`.

    A worker that dies is replaced by another until Dask gives the job up; a scheduler that vanishes takes all rows
    that were not there yet. Raises UsageError when there is no scheduler at first, or Dask is not installed.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise UsageError("--scheduler needs Dask: pip install 'mcuprof[dask]'") from None
    # A broken connection is told in the rows; Dask's own account of it would run over the progress bar.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"no Dask scheduler at {scheduler}: {reason}") from None
    try:
        yield from _rows(client, jobs, scheduler)
    finally:
        _close(client)


def _rows(client: Any, jobs: Sequence[Job], scheduler: str) -> Iterator[tuple[int, Row, bool]]:
    distributed: Any = import_module("distributed")
    positions: dict[str, int] = {}
    given = 0
    vanished = f"the scheduler at {scheduler} vanished"

    def more() -> list[Any]:
        nonlocal given
        # A key of its own per sweep: Dask would answer with the result of an earlier one.
        chosen = range(given, min(len(jobs), given + max(0, MAX_AT_ONCE - len(positions))))
        futures = [client.submit(compute, jobs[at], pure=False, retries=0) for at in chosen]
        positions.update({future.key: at for future, at in zip(futures, chosen, strict=True)})
        given = chosen.stop if futures else given
        return futures

    try:
        running = distributed.as_completed(more(), loop=client.loop)
        for future in running:
            position = positions.pop(future.key)
            yield _outcome(future, position, jobs[position], vanished)
            if given < len(jobs) and len(positions) < MAX_AT_ONCE // 2 and client.status == "running":
                running.update(more())
    except (OSError, RuntimeError, TimeoutError):
        pass  # the scheduler; what is missing is told below
    for position in (*positions.values(), *range(given, len(jobs))):
        yield position, failed(jobs[position], vanished), True


def _outcome(future: Any, position: int, job: Job, vanished: str) -> tuple[int, Row, bool]:
    if future.status == "finished":
        try:
            return position, future.result(timeout=CONNECT_SECONDS), False
        except Exception:  # the connection broke between the news and the result
            return position, failed(job, vanished), True
    if future.status != "error":  # cancelled, lost
        return position, failed(job, vanished), True
    error = future.exception(timeout=CONNECT_SECONDS)
    if type(error).__name__ == "KilledWorker":
        return position, failed(job, "every worker that tried it died"), True
    return position, failed(job, f"on the worker: {type(error).__name__}: {error}"), True


def _close(client: Any) -> None:
    import contextlib

    with contextlib.suppress(Exception):  # whatever a dead connection raises, the rows are there
        client.close(timeout=2)
