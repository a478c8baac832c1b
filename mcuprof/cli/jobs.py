"""Which models to judge for which targets: what the command line names, and what the config says of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mcuprof.budgets.config_files import absolute, discover, shown
from mcuprof.cli.options import Request, request_of
from mcuprof.errors import UsageError

if TYPE_CHECKING:
    from mcuprof.budgets.config import Config, ModelSpec


def requests_of(
    options: argparse.Namespace, models: list[str], say: Callable[[str], None]
) -> tuple[list[Request], list[Config]]:
    """The requests that `options` make, and the configs that had a say.

    Without models: all of the config's, for all of their targets. With models: those that a config names, for the
    targets it names; the others for the devices of -d. A model that no config names, while there is a config and no
    device or budget on the command line, is passed over, and `say` is told. Raises UsageError.
    """
    plain = request_of(options, models)
    if options.isolated:
        if not models:
            raise UsageError("--isolated uses no config: name a model")
        return [plain], []
    if not models:
        config = _config_here(options)
        if options.device:
            raise UsageError(f"-d goes with models on the command line; {shown(config.path)} has targets of its own")
        return _all(config, plain, options), [config]
    configs = _Configs(options.config)
    requests: list[Request] = []
    for model in models:
        found = configs.of(Path(model))
        spec = None if found is None else found.spec_of(Path(model))
        if found is not None and spec is not None:
            requests += _requests(found, spec, model, plain, options)
        elif found is None or options.device or _has_limits(plain) or not Path(model).exists():
            requests.append(replace(plain, models=(model,)))
        else:
            say(f"{model}: not judged: {shown(found.path)} does not name it (add it there, or name a device with -d)")
    return _grouped(requests), configs.used()


def _config_here(options: argparse.Namespace) -> Config:
    path = Path(options.config) if options.config else discover(Path.cwd())
    if path is None:
        raise UsageError("no model named, and no mcuprof.toml here or above (mcuprof init writes one)")
    return _load(path)


def _load(path: Path) -> Config:
    """The config, and what reads configs: most folders have none."""
    from mcuprof.budgets.config import load_config

    return load_config(path)


class _Configs:
    """The config of each model's folder, every file read once."""

    def __init__(self, named: str | None) -> None:
        self._named = None if named is None else _load(Path(named))
        self._by_folder: dict[Path, Config | None] = {}
        self._by_path: dict[Path, Config] = {}

    def of(self, model: Path) -> Config | None:
        if self._named is not None:
            return self._named
        folder = absolute(model.parent)
        if folder not in self._by_folder:
            path = discover(folder)
            if path is not None and path not in self._by_path:
                self._by_path[path] = _load(path)
            self._by_folder[folder] = None if path is None else self._by_path[path]
        return self._by_folder[folder]

    def used(self) -> list[Config]:
        return [self._named] if self._named is not None else list(self._by_path.values())


def _all(config: Config, plain: Request, options: argparse.Namespace) -> list[Request]:
    requests: list[Request] = []
    seen: set[Path] = set()
    for spec in config.models:
        for path in spec.files():
            if path.resolve() not in seen:  # the first entry that names a file counts
                seen.add(path.resolve())
                requests += _requests(config, spec, shown(path), plain, options)
    return requests


def _requests(
    config: Config, spec: ModelSpec, model: str, plain: Request, options: argparse.Namespace
) -> list[Request]:
    """One request per target. What the command line says wins over what the config says."""
    from mcuprof.budgets.config import joined

    requests = []
    for name in spec.targets:
        target = config.targets[name]
        setting = target.setting
        limits = plain.limits
        requests.append(
            replace(
                plain,
                models=(model,),
                devices=(setting.device,),
                clock_hz=setting.clock_hz,
                runtime=options.runtime or setting.runtime or plain.runtime,
                kernels=plain.kernels or setting.kernels,
                order=options.order or setting.order or plain.order,
                in_place=options.in_place or setting.in_place or plain.in_place,
                input_shapes=dict(plain.input_shapes or spec.input_shapes),
                limits=replace(
                    limits,
                    ram_bytes=setting.ram_bytes if limits.ram_bytes is None else limits.ram_bytes,
                    flash_bytes=setting.flash_bytes if limits.flash_bytes is None else limits.flash_bytes,
                    reserve_ram_bytes=(
                        setting.reserve_bytes if limits.reserve_ram_bytes is None else limits.reserve_ram_bytes
                    ),
                ),
                ignore=plain.ignore | config.ignore | spec.ignore,
                fail_on=options.fail_on or config.fail_on or plain.fail_on,
                reserve=setting.reserve,
                arena_regions=plain.arena_regions or setting.arena_regions,
                target=name,
                spot=target.spot,
                budget=joined(target.budget, spec.budget),
                ratchet=target.ratchet,
                baseline=config.baseline,
            )
        )
    return requests


def _has_limits(plain: Request) -> bool:
    limits = plain.limits
    return any(limit is not None for limit in (limits.ram_bytes, limits.flash_bytes, limits.latency_ms))


def _grouped(requests: list[Request]) -> list[Request]:
    """Neighbours that differ only in their model as one request, so that its devices are loaded once."""
    grouped: list[Request] = []
    for request in requests:
        last = grouped[-1] if grouped else None
        if last is not None and replace(last, models=request.models) == request:
            grouped[-1] = replace(last, models=(*last.models, *request.models))
        else:
            grouped.append(request)
    return grouped
