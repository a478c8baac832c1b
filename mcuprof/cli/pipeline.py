"""From a request to judged results: read, look up, analyse, judge; and out with them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mcuprof.budgets import judge
from mcuprof.budgets.baseline import Baseline, compare, decode_baseline, entry_key
from mcuprof.budgets.budget import judge_budget, resolve
from mcuprof.budgets.config_files import shown
from mcuprof.budgets.policy import fails, ignore
from mcuprof.cache import Cache, cache_folder
from mcuprof.cli import output
from mcuprof.cli.options import Request
from mcuprof.document import Finding, Report, Result, Tool, Verdict
from mcuprof.errors import EXIT_FAILED, EXIT_FITS, McuprofError, UsageError
from mcuprof.limits import DEFAULT, ReadLimits
from mcuprof.progress import Say, silent
from mcuprof.report.pieces import judged

if TYPE_CHECKING:
    from mcuprof.graph import Graph
    from mcuprof.hardware import Device

MAX_GRAPHS = 8


Amend = Callable[[Result, Request], Result]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results that came about, for each its request and whether it fails, and the exit code: the worst of all
    models, so an unreadable one is never lost.
    """

    results: tuple[Result, ...]
    requests: tuple[Request, ...]
    failed: tuple[bool, ...]
    exit_code: int


def conclude(options: argparse.Namespace, requests: Sequence[Request], detail: bool, amend: Amend | None = None) -> int:
    """Do what the requests of `check` or `analyze` ask for, publish the results, return the exit code.

    `amend` adds to results what only was asked for; where it cannot, they are published as they are.
    """
    spare_inputs(options.output, requests)
    say = output.tell if options.verbose else silent
    outcome = evaluate(requests, detail, output.complain, say, open_cache(options.no_cache))
    if amend is not None:
        outcome = _amended(outcome, amend)
    results = outcome.results
    if options.quiet and options.format == "text":
        results = tuple(result for result, failed in zip(results, outcome.failed, strict=True) if failed)
        for result in outcome.results:
            if not judged(result):  # silence would be taken for a FITS
                output.tell(f"{result.model.path}: not judged: no device, no budget, no config that names it")
    output.publish(Report(tool(), results), options.format, options.output, options.color, detail)
    return outcome.exit_code


def _amended(outcome: Outcome, amend: Amend) -> Outcome:
    results, code = list(outcome.results), outcome.exit_code
    for number, request in enumerate(outcome.requests):
        try:
            results[number] = amend(results[number], request)
        except McuprofError as error:
            output.complain(str(error))
            code = max(code, error.exit_code)
    return replace(outcome, results=tuple(results), exit_code=code)


def spare_inputs(target: str | None, requests: Iterable[Request]) -> None:
    """Raises UsageError where -o would write over anything that the requests read."""
    for request in requests:
        spare_models(target, request.models)
        spare_devices(target, request.devices)
        spare(target, [request.baseline] if request.baseline else [], "the baseline")
        spare(target, [request.spot.path] if request.spot else [], "the config")


def spare_models(target: str | None, models: Iterable[str]) -> None:
    """Raises UsageError where -o would write over one of the models."""
    spare(target, models, "the model")


def spare_devices(target: str | None, devices: Iterable[str | None]) -> None:
    """Raises UsageError where -o would write over one of those devices that are files of the user's own."""
    if target is not None:
        from mcuprof.hardware import is_device_path

        spare(target, [name for name in devices if name is not None and is_device_path(name)], "the device file")


def spare(target: str | None, inputs: Iterable[str | Path], what: str) -> None:
    """Raises UsageError where -o would write over one of the `inputs`, through links too."""
    if target is not None:
        from mcuprof.writers.files import same_file

        if any(same_file(target, name) for name in inputs):
            raise UsageError(f"-o {target} is {what} itself")


def open_cache(disabled: bool) -> Cache | None:
    """The user's cache, or None when it is `disabled` or there is no place for one."""
    folder = None if disabled else cache_folder(os.environ)
    return None if folder is None else Cache(folder, output.tell)


def evaluate(requests: Sequence[Request], detail: bool, complain: Say, say: Say, cache: Cache | None = None) -> Outcome:
    """Every request's models for its devices. An unknown device ends it (UsageError) before any model is read; a bad
    model is told, once, and passed over.
    """
    devices = [[(name, _device(request, name)) for name in request.devices] for request in requests]
    models = _Models(say)
    baselines = {path: read_baseline(path) for path in {request.baseline for request in requests} if path}
    results: list[Result] = []
    asked: list[Request] = []
    failed: list[bool] = []
    code = EXIT_FITS
    complaints: set[str] = set()
    for request, targets in zip(requests, devices, strict=True):
        for path in request.models:
            try:
                for name, device in targets:
                    result = _analyzed(path, name, device, request, detail, models, cache)
                    result = _judged(result, path, device, request, baselines)
                    results.append(_encodable(result))
                    asked.append(request)
                    failed.append(fails(result, request.fail_on, request.ignore))
                    code = max(code, EXIT_FAILED if failed[-1] else EXIT_FITS)
            except McuprofError as error:
                message = _told(error, path, request)
                if message not in complaints:
                    complain(message)
                complaints.add(message)
                code = max(code, error.exit_code)
    return Outcome(tuple(results), tuple(asked), tuple(failed), code)


def _told(error: McuprofError, path: str, request: Request) -> str:
    """The message with its culprit in front: the config's line for what the config asks, else the file."""
    message = str(error)
    if request.spot is not None and isinstance(error, UsageError):
        config = shown(request.spot.path)
        return message if message.startswith(config) else f"{request.spot}: targets.{request.target}: {message}"
    # Readers name the file themselves, in its normal form; analysis knows only the graph.
    return message if message.startswith((path, str(Path(path)))) else f"{path}: {message}"


def _device(request: Request, name: str | None) -> Device | None:
    try:
        return None if name is None else load_target(name, request.clock_hz)
    except UsageError as error:
        raise UsageError(f"{request.spot}: targets.{request.target}: {error}" if request.spot else str(error)) from None


class _Models:
    """Graphs by file and input shapes, so that a model with several targets is read once.

    Requests name a model's targets one after the other: only the latest graphs are kept, however many models there are.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._graphs: dict[tuple[str, str], Graph | McuprofError] = {}

    def read(self, path: str, shapes: Mapping[str, tuple[int, ...]], limits: ReadLimits) -> Graph:
        """The graph. Raises ModelError, for the same file the same one."""
        key = (path, repr(shapes))
        if key not in self._graphs:
            self._say(f"{path}: reading")
            try:
                self._graphs[key] = read_model(path, shapes, limits)
            except McuprofError as error:
                self._graphs[key] = error
            if len(self._graphs) > MAX_GRAPHS:
                del self._graphs[next(iter(self._graphs))]
        found = self._graphs[key]
        if isinstance(found, McuprofError):
            raise found
        return found

    def say_analysing(self, path: str, device: Device | None) -> None:
        """For -v."""
        self._say(f"{path}: analysing for {device.id if device else 'no device'}")


def _analyzed(
    path: str,
    name: str | None,
    device: Device | None,
    request: Request,
    detail: bool,
    models: _Models,
    cache: Cache | None,
) -> Result:
    options = (
        *(request.runtime, request.kernels, request.order, request.in_place),
        *(sorted(request.input_shapes.items()), sorted(request.reserve.items()), request.arena_regions),
        *(request.time_limit, request.io, request.exit_rates),
    )
    key = None if cache is None else cache.key(path, (device, options, detail))
    if cache is not None and key is not None and (stored := cache.get(key)) is not None:
        return stored
    graph = models.read(path, request.input_shapes, request.reading)
    models.say_analysing(path, device)
    result = analyze_model(graph, device, request, detail)
    if cache is not None and key is not None:
        cache.put(key, result)
    return result


def _judged(
    result: Result,
    path: str,
    device: Device | None,
    request: Request,
    baselines: Mapping[Path, Baseline],
) -> Result:
    """The verdict: capacity and ad-hoc limits, the config's budget, the baseline; then what is to be passed over."""
    if request.spot is None:
        result = judge(result, request.limits)
    else:
        ram = request.limits.ram_bytes if device is None else request.limits.ram_bytes or device.ram_bytes
        flash = request.limits.flash_bytes or result.flash.capacity_bytes
        budget = resolve(request.budget, ram, flash)
        result = judge_budget(result, request.limits, budget, request.spot.where())
        result = msgspec.structs.replace(result, target=msgspec.structs.replace(result.target, name=request.target))
    if request.baseline is not None:
        baseline = baselines[request.baseline]
        entry = baseline.entries.get(entry_key(path, place_name(result), request.baseline.parent))
        found = compare(entry, result, request.ratchet, where=request.spot.where() if request.spot else None)
        result = with_findings(result, found)
    return ignore(result, request.ignore)


def place_name(result: Result) -> str | None:
    """What a baseline calls the target of `result`: its name in the config, or the device."""
    name = result.target.name
    return result.target.device if isinstance(name, msgspec.UnsetType) else name


def with_findings(result: Result, found: Sequence[Finding]) -> Result:
    """`result` with more findings, judged again."""
    findings = (*result.verdict.findings, *found)
    fits = all(finding.severity != "error" for finding in findings)
    return msgspec.structs.replace(result, verdict=Verdict(fits, findings))


def read_baseline(path: Path) -> Baseline:
    """The baseline at `path`; an empty one where there is no file. Raises UsageError when it cannot be used."""
    name = shown(path)
    try:
        return decode_baseline(path.read_bytes(), name)
    except FileNotFoundError:
        return Baseline()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {name}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None


def tool() -> Tool:
    """This mcuprof, for the document."""
    from mcuprof import __version__
    from mcuprof.hardware import device_db_version

    return Tool(name="mcuprof", version=__version__, device_db=device_db_version())


def read_model(path: str, input_shapes: Mapping[str, tuple[int, ...]], limits: ReadLimits = DEFAULT) -> Graph:
    """The graph in a model file. Raises ModelError."""
    from mcuprof.readers import read

    return read(path, input_shapes=input_shapes or None, limits=limits)


def read_to_execute(path: str, limits: ReadLimits) -> Graph:
    """The graph in a model file that will be executed. Raises ModelError, also where that is too much."""
    from mcuprof.readers.extent import check_execution

    graph = read_model(path, {}, limits)
    check_execution(graph, limits)
    return graph


def load_target(name: str, clock_hz: int | None) -> Device:
    """A device of the database. Raises DeviceError."""
    from mcuprof.hardware import load_device

    return load_device(name, clock_hz)


def analyze_model(graph: Graph, device: Device | None, request: Request, detail: bool) -> Result:
    """The analysis that the request asks for. Raises ModelError and UsageError."""
    from mcuprof.analysis import Options, analyze

    options = Options(
        runtime=request.runtime,
        kernels=request.kernels,
        order=request.order,
        in_place=request.in_place,
        detail=detail,
        reserve=request.reserve,
        arena_regions=request.arena_regions,
        io=request.io,
        exit_rates=request.exit_rates,
        time_limit=request.time_limit,
    )
    return analyze(graph, device, options)


def _encodable(result: Result) -> Result:
    """With the path in valid Unicode: file names are bytes on most systems, JSON is not."""
    path = result.model.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if path == result.model.path:
        return result
    return msgspec.structs.replace(result, model=msgspec.structs.replace(result.model, path=path))
