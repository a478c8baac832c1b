"""What a sweep gives: one flat row per model, device and options, and what to compute to get it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from mcuprof.analysis import Options
from mcuprof.budgets import Limits
from mcuprof.hardware import Device

Status = Literal["fits", "over", "unproven", "failed"]
OBJECTIVES = ("ram_bytes", "flash_bytes", "ms")


class Job(msgspec.Struct, frozen=True):
    """One row to compute. `path` is where workers find the model, `model` what the user calls it.

    `build` names the mcuprof and the database that must compute it.
    """

    model: str
    path: str
    sha256: str
    device: Device
    runtime: str
    kernels: str | None
    order: str
    in_place: str
    time_limit: float | None
    limits: tuple[int | None, int | None, float | None, int | None]
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...]
    build: str

    @property
    def key(self) -> str:
        """Equal for jobs with equal rows."""
        named = msgspec.structs.replace(self, path=_valid(self.path))  # file names are bytes, JSON is text
        return hashlib.sha256(msgspec.json.encode(named, order="sorted")).hexdigest()[:32]

    @property
    def options(self) -> Options:
        """For `analyze`."""
        return Options(self.runtime, self.kernels, self.order, self.in_place, time_limit=self.time_limit)

    @property
    def budget(self) -> Limits:
        """For `judge`."""
        return Limits(*self.limits)


class Row(msgspec.Struct, frozen=True):
    """One row of the table: who, whether it fits, and what it needs. Numbers as in a report; null where no data.

    `ram_bytes` is the smallest arena plus the stack. `findings` are the codes of what keeps it from fitting. `status`
    is `failed` where there is no result, and `error` says why. `pareto` is set by `pareto.mark`.
    """

    model: str
    device: str
    core: str
    clock_hz: int | None
    runtime: str
    kernels: str | None
    order: str
    in_place: str
    status: Status
    error: str | None = None
    findings: str = ""
    ram_bytes: int | None = None
    ram_capacity_bytes: int | None = None
    arena_bytes: int | None = None
    stack_bytes: int | None = None
    flash_bytes: int | None = None
    flash_capacity_bytes: int | None = None
    ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    cycles: int | None = None
    instructions: int | None = None
    macs: int | None = None
    parameters: int | None = None
    operators: int | None = None
    model_bytes: int | None = None
    quantization: str | None = None
    sha256: str | None = None
    pareto: bool = False


COLUMNS: tuple[str, ...] = Row.__struct_fields__


def failed(job: Job, reason: str) -> Row:
    """The row of a job that has no result."""
    return Row(
        model=job.model,
        device=job.device.id,
        core=job.device.core.id,
        clock_hz=job.device.clock_hz,
        runtime=job.runtime,
        kernels=job.kernels,
        order=job.order,
        in_place=job.in_place,
        status="failed",
        error=_valid(reason.splitlines()[0]) if reason else "no reason given",
    )


def _valid(text: str) -> str:
    """`text` in Unicode that can be encoded: file names need not be."""
    return text.encode("utf-8", "backslashreplace").decode()


def build_name() -> str:
    """A name for this mcuprof and its database, for workers to compare."""
    from mcuprof import __version__
    from mcuprof.hardware import device_db_version

    return f"{__version__} with database {device_db_version()}"


def file_sha256(path: Path) -> str:
    """Hex digest of the file's bytes; empty when it cannot be read, which its row will say."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return ""


def mark_front(rows: Sequence[Row]) -> list[Row]:
    """The rows, `pareto` set on those of each device that no other row of it equals or beats in RAM, flash and ms.

    Only rows that fit and have all three numbers take part.
    """
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.status == "fits" and all(getattr(row, name) is not None for name in OBJECTIVES):
            groups.setdefault(row.device, []).append(index)
    best: set[int] = set()
    for indices in groups.values():
        front: list[tuple[float, ...]] = []
        # In this order nothing that comes later beats what came before.
        for index in sorted(indices, key=lambda at: (_objectives(rows[at]), at)):
            point = _objectives(rows[index])
            if not any(all(a <= b for a, b in zip(other, point, strict=True)) and other != point for other in front):
                front.append(point)
                best.add(index)
    return [msgspec.structs.replace(row, pareto=index in best) for index, row in enumerate(rows)]


def _objectives(row: Row) -> tuple[float, ...]:
    return tuple(getattr(row, name) for name in OBJECTIVES)
