"""From a request to judged results: read, look up, analyse, judge; and out with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mcuprof.budgets import judge
from mcuprof.cli import output
from mcuprof.cli.options import Request, request_of
from mcuprof.document import Report, Result, Tool
from mcuprof.errors import EXIT_FAILED, EXIT_FITS, McuprofError, UsageError

if TYPE_CHECKING:
    from mcuprof.graph import Graph
    from mcuprof.hardware import Device

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results that came about, and the exit code: the worst of all models, so an unreadable one is never lost."""

    results: tuple[Result, ...]
    exit_code: int


def conclude(options: argparse.Namespace, models: list[str], detail: bool) -> int:
    """Do what the parsed options of `check` or `analyze` ask for, publish the results, return the exit code."""
    if options.output is not None and any(_same(options.output, model) for model in models):
        raise UsageError(f"-o {options.output} is the model itself")
    say = output.tell if options.verbose else _nothing
    outcome = evaluate(request_of(options, models), detail, output.complain, say)
    results = outcome.results
    if options.quiet and options.format == "text":
        results = tuple(result for result in results if not result.verdict.fits)
    output.publish(Report(tool(), results), options.format, options.output, options.color, detail)
    return outcome.exit_code


def _same(name: str, other: str) -> bool:
    try:
        return Path(name).samefile(other)
    except (OSError, ValueError):
        return False


def _nothing(message: str) -> None:
    """Without -v nobody is told."""


def evaluate(request: Request, detail: bool, complain: Say, say: Say) -> Outcome:
    """Every model for every device. An unknown device ends it (UsageError); a bad model is told and passed over."""
    devices = [None if name is None else load_target(name, request.clock_hz) for name in request.devices]
    results: list[Result] = []
    code = EXIT_FITS
    for path in request.models:
        try:
            say(f"{path}: reading")
            graph = read_model(path, request.input_shapes)
            for device in devices:
                say(f"{path}: analysing for {device.id if device else 'no device'}")
                result = judge(analyze_model(graph, device, request, detail), request.limits)
                results.append(_encodable(result))
                code = max(code, EXIT_FITS if result.verdict.fits else EXIT_FAILED)
        except McuprofError as error:
            # Readers name the file themselves, in its normal form; analysis knows only the graph.
            message = str(error)
            complain(message if message.startswith((path, str(Path(path)))) else f"{path}: {message}")
            code = max(code, error.exit_code)
    return Outcome(tuple(results), code)


def tool() -> Tool:
    """This mcuprof, for the document."""
    from mcuprof import __version__
    from mcuprof.hardware import device_db_version

    return Tool(name="mcuprof", version=__version__, device_db=device_db_version())


def read_model(path: str, input_shapes: Mapping[str, tuple[int, ...]]) -> Graph:
    """The graph in a model file. Raises ModelError."""
    from mcuprof.readers import read

    return read(path, input_shapes=input_shapes or None)


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
    )
    return analyze(graph, device, options)


def _encodable(result: Result) -> Result:
    """With the path in valid Unicode: file names are bytes on most systems, JSON is not."""
    path = result.model.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if path == result.model.path:
        return result
    return msgspec.structs.replace(result, model=msgspec.structs.replace(result.model, path=path))
