"""Computes rows, wherever it runs: a model is read once for all its devices, and every failure becomes a row."""

from __future__ import annotations

import threading
from pathlib import Path

from mcuprof.analysis import Study, setting_of, study
from mcuprof.budgets import judge
from mcuprof.document import UNPROVEN, Result
from mcuprof.errors import McuprofError, ModelError
from mcuprof.graph import Graph
from mcuprof.readers import read
from mcuprof.sweep.rows import Job, Row, Status, build_name, failed


class Worker:
    """Keeps the last model and what was studied of it."""

    def __init__(self) -> None:
        self._build = build_name()
        self._model: tuple[object, ...] = ()
        self._graph: Graph | ModelError | None = None
        self._studies: dict[tuple[object, ...], Study] = {}

    def row(self, job: Job) -> Row:
        """The row of `job`. Never raises: what goes wrong is in the row."""
        try:
            if job.build != self._build:
                return failed(job, f"the worker has mcuprof {self._build}, not {job.build}")
            return _row(job, self._result(job))
        except McuprofError as error:
            text = str(error)
            return failed(job, text.removeprefix(f"{job.path}: ").removeprefix(f"{Path(job.path)}: "))
        except Exception as error:  # one broken row must not end a sweep of thousands
            return failed(job, f"internal error: {type(error).__name__}: {error}")

    def _result(self, job: Job) -> Result:
        graph = self._read(job)
        setting = setting_of(job.device, job.options)
        key = (setting.key, job.runtime, job.order, job.in_place, job.time_limit)
        if key not in self._studies:
            self._studies[key] = study(graph, setting, job.options)
        return judge(self._studies[key].on(job.device), job.budget)

    def _read(self, job: Job) -> Graph:
        model = (job.path, job.sha256, job.input_shapes)
        if model != self._model:
            self._model, self._graph, self._studies = (), None, {}
            try:
                self._graph = read(job.path, input_shapes=dict(job.input_shapes) or None)
            except ModelError as error:
                self._graph = error
            self._model = model
        if isinstance(self._graph, ModelError):
            raise self._graph
        assert self._graph is not None
        if job.sha256 and self._graph.origin.sha256 != job.sha256:
            raise ModelError("is not the file that the sweep began with")
        return self._graph


_LOCAL = threading.local()


def compute(job: Job) -> Row:
    """`Worker.row` with a worker of this thread's own, for engines that only call functions."""
    if not hasattr(_LOCAL, "worker"):
        _LOCAL.worker = Worker()
    row: Row = _LOCAL.worker.row(job)
    return row


def _row(job: Job, result: Result) -> Row:
    memory, flash, latency = result.memory, result.flash, result.latency
    errors = {finding.code for finding in result.verdict.findings if finding.severity == "error"}
    status: Status = "fits" if result.verdict.fits else "unproven" if errors <= UNPROVEN else "over"
    return Row(
        model=job.model,
        device=job.device.id,
        core=job.device.core.id,
        clock_hz=result.target.clock_hz,
        runtime=job.runtime,
        kernels=result.target.kernels,
        order=job.order,
        in_place=job.in_place,
        status=status,
        findings=" ".join(sorted(errors)),
        ram_bytes=memory.min_arena_bytes + (memory.stack_bytes or 0),
        ram_capacity_bytes=memory.regions[0].capacity_bytes if memory.regions else None,
        arena_bytes=memory.arena_bytes,
        stack_bytes=memory.stack_bytes,
        flash_bytes=flash.total_bytes,
        flash_capacity_bytes=flash.capacity_bytes,
        ms=latency.ms if latency else None,
        low_ms=latency.low_ms if latency else None,
        high_ms=latency.high_ms if latency else None,
        cycles=latency.cycles if latency else None,
        instructions=latency.instructions if latency else None,
        macs=result.model.macs,
        parameters=result.model.parameters,
        operators=result.model.operators,
        model_bytes=result.model.bytes,
        quantization=result.model.quantization,
        sha256=result.model.sha256,
    )
