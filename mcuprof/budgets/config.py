"""A config, read: targets, models and what is asked of them. `load_config` is the way in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from mcuprof.budgets.amounts import BudgetSpec, Ratchet, parse_amount, parse_rule
from mcuprof.budgets.config_files import Layers, Spot, absolute, read_layers, shown
from mcuprof.budgets.config_schema import (
    BudgetTable,
    ConfigFile,
    ModelTable,
    RatchetTable,
    SizeRule,
    TargetTable,
    TimeRule,
)
from mcuprof.budgets.toml_lines import Path as Key
from mcuprof.errors import UsageError
from mcuprof.units import parse_clock_hz, parse_size, parse_time_ms

FailOn = Literal["error", "warning", "note"]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Setting:
    """How the firmware is built and where it runs. None: what the command line would take without an option."""

    device: str | None = None
    clock_hz: int | None = None
    runtime: str | None = None
    kernels: str | None = None
    order: str | None = None
    in_place: str | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    reserve_bytes: int | None = None
    reserve: Mapping[str, int] = field(default_factory=dict)
    arena_regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """One table of `targets`; `spot` is the line of its device."""

    name: str
    setting: Setting
    budget: BudgetSpec
    ratchet: Ratchet
    spot: Spot


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One entry of `models`; its globs start at `root`."""

    globs: tuple[str, ...]
    root: Path
    targets: tuple[str, ...]
    input_shapes: Mapping[str, tuple[int, ...]]
    budget: BudgetSpec
    ignore: frozenset[str]
    spot: Spot

    def files(self) -> list[Path]:
        """The files that the globs match, sorted. Raises UsageError for a glob that matches none."""
        found: set[Path] = set()
        for glob in self.globs:
            matches = self._matches(glob)
            if not matches:
                raise UsageError(f"{self.spot}: models.path: {glob!r} matches no file in {shown(self.root)}")
            found.update(matches)
        return sorted(found)

    def knows(self, path: Path) -> bool:
        """Whether one of the globs matches `path`."""
        wanted = path.resolve()
        return any(match.resolve() == wanted for glob in self.globs for match in self._matches(glob))

    def _matches(self, glob: str) -> list[Path]:
        try:
            found = [path for path in self.root.glob(glob) if path.is_file()]
        except (ValueError, NotImplementedError, OSError) as error:
            raise UsageError(f"{self.spot}: models.path: {glob!r} is no glob: {str(error).lower()}") from None
        # `**` would walk into .git and .venv.
        return [path for path in found if not _hidden(os.path.relpath(path, self.root)) or _hidden(glob)]


def _hidden(path: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in Path(path).parts)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole config, `extend` followed."""

    path: Path
    targets: Mapping[str, TargetSpec]
    models: tuple[ModelSpec, ...]
    baseline: Path | None
    ignore: frozenset[str]
    fail_on: FailOn | None

    def spec_of(self, path: Path) -> ModelSpec | None:
        """The first entry that names this file, or None."""
        return next((spec for spec in self.models if spec.knows(path)), None)


def load_config(path: Path) -> Config:
    """The config in `path` (`mcuprof.toml`, or a `pyproject.toml`). Raises UsageError with file, line and key."""
    layers = read_layers(path)
    file = msgspec.convert(layers.data, ConfigFile)
    read = _Reading(layers)
    defaults = file.defaults
    if not file.targets:
        raise UsageError(f"{shown(layers.path)}: no target: add a table such as [targets.board] with a device")
    if not file.models:
        raise UsageError(f'{shown(layers.path)}: no model: add [[models]] with a path such as "models/*.tflite"')
    common_budget = read.budget(("defaults", "budget"), defaults.budget, BudgetSpec())
    common_ratchet = read.ratchet(("defaults", "ratchet"), defaults.ratchet, Ratchet())
    targets: dict[str, TargetSpec] = {}
    for name, table in file.targets.items():
        key = ("targets", name)
        setting = read.setting(key, table)
        setting = replace(
            setting,
            **{
                each: getattr(setting, each) or getattr(defaults, each)
                for each in ("runtime", "kernels", "order", "in_place")
            },
        )
        targets[name] = TargetSpec(
            name,
            setting,
            read.budget((*key, "budget"), table.budget, common_budget),
            read.ratchet((*key, "ratchet"), table.ratchet, common_ratchet),
            layers.spot((*key, "device")),
        )
    models = tuple(read.model(("models", index), table, targets) for index, table in enumerate(file.models))
    baseline = None
    if defaults.baseline is not None:
        baseline = absolute(layers.spot(("defaults", "baseline")).path.parent / defaults.baseline)
    ignore = read.codes(("defaults", "ignore"), defaults.ignore)
    return Config(layers.path, targets, models, baseline, ignore, defaults.fail_on)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Turns tables into specs; what cannot be read is told with its file, line and key."""

    layers: Layers

    def parse(self, key: Key, text: str, parse: Callable[[str], _T]) -> _T:
        try:
            return parse(text)
        except UsageError as error:
            self.layers.fail(key, str(error))

    def maybe(self, key: Key, text: str | None, parse: Callable[[str], _T]) -> _T | None:
        return None if text is None else self.parse(key, text, parse)

    def codes(self, key: Key, codes: tuple[str, ...]) -> frozenset[str]:
        from mcuprof.budgets.policy import ignorable

        return frozenset(self.parse(key, code, ignorable) for code in codes)

    def setting(self, key: Key, table: TargetTable) -> Setting:
        total, by_region = None, {}
        if isinstance(table.reserve, str):
            total = self.parse((*key, "reserve"), table.reserve, parse_size)
        elif table.reserve is not None:
            by_region = {
                region: self.parse((*key, "reserve", region), size, parse_size)
                for region, size in table.reserve.items()
            }
        device = table.device
        if device is None and table.clock is not None:
            self.layers.fail((*key, "clock"), "needs a device")
        if device is None and (by_region or table.placement):
            self.layers.fail((*key, "reserve" if by_region else "placement"), "names regions, but there is no device")
        if device is not None and device.endswith(".toml"):
            device = str(self.layers.spot((*key, "device")).path.parent / device)
        return Setting(
            device=device,
            clock_hz=self.maybe((*key, "clock"), table.clock, parse_clock_hz),
            runtime=table.runtime,
            kernels=table.kernels,
            order=table.order,
            in_place=table.in_place,
            ram_bytes=self.maybe((*key, "ram"), table.ram, parse_size),
            flash_bytes=self.maybe((*key, "flash"), table.flash, parse_size),
            reserve_bytes=total,
            reserve=by_region,
            arena_regions=table.placement.arena if table.placement else (),
        )

    def budget(self, key: Key, table: BudgetTable | None, below: BudgetSpec) -> BudgetSpec:
        """What `table` asks, and `below` where it is silent."""
        if table is None:
            return below
        where = dict(below.where)
        for name in ("ram", "flash", "latency"):
            if getattr(table, name) is not None:
                where[name] = self.layers.spot((*key, name)).where()
        ram = self.maybe((*key, "ram"), table.ram, parse_amount)
        flash = self.maybe((*key, "flash"), table.flash, parse_amount)
        latency = self.maybe((*key, "latency"), table.latency, parse_time_ms)
        return BudgetSpec(
            ram=below.ram if ram is None else ram,
            flash=below.flash if flash is None else flash,
            latency_ms=below.latency_ms if latency is None else latency,
            latency_bound=table.latency_bound or below.latency_bound,
            where=where,
        )

    def ratchet(self, key: Key, table: RatchetTable | None, below: Ratchet) -> Ratchet:
        """What `table` allows, and `below` where it is silent."""
        changes: dict[str, Any] = {}
        where = dict(below.where)
        rules: dict[str, SizeRule | TimeRule | None] = {}
        if table is not None:
            rules = {"ram": table.ram, "flash": table.flash, "latency": table.latency}
        for name, rule in rules.items():
            if rule is None:
                continue
            least = rule.min_time if isinstance(rule, TimeRule) else rule.min_bytes
            is_time = isinstance(rule, TimeRule)

            def read(share: str, least: str = least, is_time: bool = is_time) -> Any:
                return parse_rule(share, least, is_time)

            changes[name] = self.parse((*key, name), rule.max_increase, read)
            where[name] = self.layers.spot((*key, name)).where()
        return replace(below, **changes, where=where)

    def model(self, key: Key, table: ModelTable, targets: Mapping[str, TargetSpec]) -> ModelSpec:
        for name in table.targets or ():
            if name not in targets:
                self.layers.fail((*key, "targets"), f"no target {name!r} (there are {', '.join(targets)})")
        globs = (table.path,) if isinstance(table.path, str) else table.path
        spot = self.layers.spot((*key, "path"))
        if not globs or not all(globs):
            self.layers.fail((*key, "path"), "names nothing")
        return ModelSpec(
            globs=globs,
            root=spot.path.parent,
            targets=tuple(dict.fromkeys(table.targets)) if table.targets else tuple(targets),
            input_shapes=table.input_shapes,
            budget=self.budget((*key, "budget"), table.budget, BudgetSpec()),
            ignore=self.codes((*key, "ignore"), table.ignore),
            spot=spot,
        )


def joined(target: BudgetSpec, model: BudgetSpec) -> BudgetSpec:
    """The target's budget with the model's over it."""
    return BudgetSpec(
        ram=target.ram if model.ram is None else model.ram,
        flash=target.flash if model.flash is None else model.flash,
        latency_ms=target.latency_ms if model.latency_ms is None else model.latency_ms,
        latency_bound=model.latency_bound or target.latency_bound,
        where={**target.where, **model.where},
    )
