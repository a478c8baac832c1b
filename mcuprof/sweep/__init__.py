"""Floor 6: models × devices × options → one table, by local processes or a Dask cluster, resumable.

Every job gets a row whatever happens to it, rows stand in the order of the jobs, and the engine cannot be told from
the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from mcuprof.sweep.cluster import cluster
from mcuprof.sweep.journal import Journal
from mcuprof.sweep.local import local
from mcuprof.sweep.rows import OBJECTIVES, Job, Row, build_name, failed, file_sha256, mark_front
from mcuprof.sweep.tables import TABLES, format_of

Progress = Callable[[int, int, int], None]
"""(done, total, failed) after every row."""


def sweep(
    jobs: Sequence[Job],
    *,
    processes: int | None = None,
    scheduler: str | None = None,
    journal: Path | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """One row per job, in their order, the Pareto front marked.

    With `journal` rows are kept there as they come, and what is there already is not computed again, except rows that
    failed with their worker. It is left in place; `Journal.remove` is for when the table is written. Raises UsageError
    for a scheduler that cannot be reached and a journal that cannot be written.
    """
    keys = [job.key for job in jobs]
    with ExitStack() as stack:
        kept = stack.enter_context(Journal(journal)) if journal is not None else None
        known = kept.rows(keys) if kept is not None else {}
        todo = [position for position, key in enumerate(keys) if key not in known]
        done, broken = len(jobs) - len(todo), sum(row.status == "failed" for row in known.values())
        found = {position: known[key] for position, key in enumerate(keys) if key in known}
        if progress is not None:
            progress(done, len(jobs), broken)
        for at, row, passing in _computed([jobs[position] for position in todo], processes, scheduler):
            found[todo[at]] = row
            if kept is not None and not passing:
                kept.add(keys[todo[at]], row)
            done, broken = done + 1, broken + (row.status == "failed")
            if progress is not None:
                progress(done, len(jobs), broken)
    return mark_front([found[position] for position in range(len(jobs))])


def _computed(jobs: Sequence[Job], processes: int | None, scheduler: str | None) -> Iterator[tuple[int, Row, bool]]:
    if not jobs:
        return iter(())
    if scheduler is not None:
        return cluster(jobs, scheduler)
    return local(jobs, processes or os.cpu_count() or 1)


__all__ = [
    "OBJECTIVES",
    "TABLES",
    "Job",
    "Journal",
    "Row",
    "build_name",
    "failed",
    "file_sha256",
    "format_of",
    "mark_front",
    "sweep",
]
