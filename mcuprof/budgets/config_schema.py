"""What may stand in `mcuprof.toml` and in `[tool.mcuprof]`, as written: amounts are still text with a unit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

SIZE = r"^\s*[0-9]+(\.[0-9]+)?\s*([KMGkmg]i?B?|[Bb])?\s*$"
PERCENT = r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$"
TIME = r"^\s*[0-9]+(\.[0-9]+)?\s*(us|ms|s)\s*$"


def _text(description: str, *patterns: str) -> Any:
    """Metadata for an editor: patterns are told, not enforced, because our own messages say more than a pattern."""
    extra: dict[str, Any] = {"anyOf": [{"pattern": pattern} for pattern in patterns]} if patterns else {}
    return Meta(description=description, extra_json_schema=extra)


Size = Annotated[str, _text("A size such as 96K (K, M and G are powers of 1024).", SIZE)]
Share = Annotated[str, _text("A size such as 96K, or a part of what the device has, such as 70%.", SIZE, PERCENT)]
Time = Annotated[str, _text("A time such as 50ms.", TIME)]
Clock = Annotated[str, _text("A clock such as 80MHz.")]
Glob = Annotated[str, _text("A path or a glob, relative to this file; ** crosses folders.")]
Severity = Literal["error", "warning", "note"]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table in which every key must be known."""


class BudgetTable(_Table, frozen=True):
    """What a model may take, beyond having to fit the device."""

    ram: Share | None = None
    flash: Share | None = None
    latency: Time | None = None
    latency_bound: Annotated[
        Literal["upper", "nominal"] | None, Meta(description="What the latency budget is held against.")
    ] = None


class SizeRule(_Table, frozen=True):
    """A ratchet rule for bytes: growth fails when it exceeds both."""

    max_increase: Annotated[str, _text("Such as 2%.", PERCENT)]
    min_bytes: Size


class TimeRule(_Table, frozen=True):
    """A ratchet rule for time: growth fails when it exceeds both."""

    max_increase: Annotated[str, _text("Such as 2%.", PERCENT)]
    min_time: Time


class RatchetTable(_Table, frozen=True):
    """How much each figure may grow over the baseline."""

    ram: SizeRule | None = None
    flash: SizeRule | None = None
    latency: TimeRule | None = None


class PlacementTable(_Table, frozen=True):
    """Which memory regions take what."""

    arena: Annotated[
        tuple[str, ...], Meta(description="Regions for the arena, in order of preference.", min_length=1)
    ] = ()


class TargetTable(_Table, frozen=True):
    """One place where models run."""

    device: Annotated[str | None, Meta(description="As in `mcuprof devices list`.")] = None
    clock: Clock | None = None
    runtime: str | None = None
    kernels: str | None = None
    order: Literal["as-is", "optimal"] | None = None
    in_place: Literal["none", "alias", "elementwise", "depthwise", "overlap"] | None = None
    ram: Annotated[str | None, _text("The largest free block, instead of the device's RAM.", SIZE)] = None
    flash: Annotated[str | None, _text("Instead of the device's flash.", SIZE)] = None
    reserve: Annotated[
        str | dict[str, str] | None, Meta(description="RAM the firmware keeps: one size, or one per region.")
    ] = None
    placement: PlacementTable | None = None
    budget: BudgetTable | None = None
    ratchet: RatchetTable | None = None


class ModelTable(_Table, frozen=True):
    """Some models and what is asked of them. The first entry that names a file counts."""

    path: Glob | tuple[Glob, ...]
    targets: Annotated[tuple[str, ...] | None, Meta(description="Default: all targets.")] = None
    input_shapes: dict[str, tuple[Annotated[int, Meta(ge=1, lt=2**31)], ...]] = {}
    budget: BudgetTable | None = None
    ignore: tuple[str, ...] = ()


class DefaultsTable(_Table, frozen=True):
    """What holds for every target that does not say otherwise."""

    runtime: str | None = None
    kernels: str | None = None
    order: Literal["as-is", "optimal"] | None = None
    in_place: Literal["none", "alias", "elementwise", "depthwise", "overlap"] | None = None
    baseline: Annotated[str | None, Meta(description="The baseline file, relative to this file.")] = None
    ignore: Annotated[tuple[str, ...], Meta(description="Codes of findings to pass over.")] = ()
    fail_on: Annotated[Severity | None, Meta(description="The least severity that fails.")] = None
    budget: BudgetTable | None = None
    ratchet: RatchetTable | None = None


class ConfigFile(_Table, frozen=True):
    """The whole file."""

    extend: Annotated[str | None, Meta(description="Another file whose settings hold where this one is silent.")] = None
    defaults: DefaultsTable = DefaultsTable()
    targets: dict[str, TargetTable] = {}
    models: tuple[ModelTable, ...] = ()


def config_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `mcuprof.toml`, for editors."""
    schema = msgspec.json.schema(ConfigFile)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mcuprof.toml", **schema}
