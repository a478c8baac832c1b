"""A job at which a worker hangs until it is killed; in a module of its own, for worker processes to import."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from mcuprof.analysis import Options
from mcuprof.sweep import Job


class Hanging(Job, frozen=True):
    """As the job it is made of, but it never ends."""

    @property
    def options(self) -> Options:
        time.sleep(3600)
        return super().options


def hanging(job: Job) -> Job:
    return Hanging(**{**msgspec.structs.asdict(job), "model": "hangs"})


ROOT = Path(__file__).resolve().parents[2]
