"""What the report document says of a split: the points that `mcuprof plan --split` offers. Part of schema version 1."""

from __future__ import annotations

from typing import Literal

import msgspec


class SplitRegion(msgspec.Struct, frozen=True):
    """Operators `first` … `last` run in `parts` parts: stripes of rows, or groups of channels."""

    first: int
    last: int
    parts: int
    of: Literal["rows", "channels"]


class SplitPoint(msgspec.Struct, frozen=True):
    """One way to split: the arena that it takes, for `work` more (a fraction of the model's MACs, copies weighed in).

    `copied_bytes` are what SLICE moves; `ms` is without that and null where there is no data.
    """

    arena_bytes: int
    work: float
    copied_bytes: int
    ms: float | None
    regions: tuple[SplitRegion, ...]


class SplitFront(msgspec.Struct, frozen=True):
    """What `mcuprof plan --split` offers, the least work first; `ms_reason` says what `ms` lacks, null if nothing."""

    points: tuple[SplitPoint, ...]
    ms_reason: str | None
