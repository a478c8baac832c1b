"""`mcuprof diff`: what changed between two models."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from mcuprof.cli import output
from mcuprof.cli.options import Parser, Request, add_analysis_options, request_of
from mcuprof.cli.pipeline import analyze_model, load_target, read_model, spare_inputs, spare_models
from mcuprof.errors import EXIT_FITS, McuprofError, ModelError, UsageError

if TYPE_CHECKING:
    from mcuprof.budgets.diff import Diff
    from mcuprof.document import Result
    from mcuprof.graph import Graph
    from mcuprof.hardware import Device

_DESCRIPTION = (
    "What changed between two models: totals, tensors, operators; increases first. Either side may be GITREV:PATH, "
    "such as HEAD~1:models/kws.tflite (PATH from the repository's root, or ./ from here)."
)


def run(arguments: list[str]) -> int:
    """Compare two models on one device; 0 whatever changed."""
    parser = Parser("diff", _DESCRIPTION)
    parser.add_argument("old", metavar="OLD", help="file, or GITREV:PATH")
    parser.add_argument("new", metavar="NEW", help="file, or GITREV:PATH")
    add_analysis_options(parser)
    parser.add_argument("-f", "--format", choices=("text", "json", "markdown"), default="text", help="default: text")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")
    parser.add_argument("-v", "--verbose", action="store_true", help="text: all rows")
    options = parser.parse_intermixed_args(arguments)
    request = request_of(options, [options.old, options.new])
    if len(request.devices) > 1:
        raise UsageError("diff compares on one device: name one -d")
    spare_inputs(options.output, [request])
    if options.output is not None:
        spare_models(options.output, [_today(name) for name in request.models])
    (name,) = request.devices
    device = None if name is None else load_target(name, request.clock_hz)
    from mcuprof.budgets.diff import diff

    sides = (_analyzed(options.old, device, request), _analyzed(options.new, device, request))
    _publish(diff(*sides, (options.old, options.new)), options.format, options.output, options.verbose)
    return EXIT_FITS


def _publish(diff: Diff, format: str, target: str | None, all_rows: bool) -> None:
    from mcuprof.report.diff import MAX_ROWS, markdown, text
    from mcuprof.report.page import Page

    to_terminal = target is None or target == "-"
    page = output.own_page() if to_terminal else Page()
    if format == "json":
        written = msgspec.json.format(msgspec.json.encode(diff, order="sorted"), indent=2).decode() + "\n"
    elif format == "markdown":
        written = markdown(diff, page)
    else:
        written = text(diff, page, None if all_rows else MAX_ROWS)
    if target is None or target == "-":
        output.write(written)
    else:
        output.write_file(target, written)


def _analyzed(name: str, device: Device | None, request: Request) -> tuple[Graph, Result]:
    with _file(name) as path:
        try:
            graph = read_model(str(path), request.input_shapes, request.reading)
            graph = replace(graph, origin=replace(graph.origin, path=name))
            return graph, analyze_model(graph, device, request, True)
        except McuprofError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise type(error)(f"{name}: {reason}") from None


@contextmanager
def _file(name: str) -> Iterator[Path]:
    """`name` itself where there is such a file; else what git has under it, as a file that is gone afterwards."""
    if _is_file(name):
        yield Path(name)
        return
    revision, _, path = name.partition(":")
    data = _git_show(name, revision, path)
    with tempfile.TemporaryDirectory(prefix="mcuprof-") as folder:
        copy = Path(folder) / (PurePosixPath(path).name or "model")
        copy.write_bytes(data)
        yield copy


def _is_file(name: str) -> bool:
    """Whether this is no GITREV:PATH: there is such a file, or what stands before the colon is a drive of Windows."""
    revision, colon, _ = name.partition(":")
    return Path(name).exists() or not colon or len(revision) == 1


def _today(name: str) -> str:
    """The file that `name` is; of GITREV:PATH what lies in the working tree under that path."""
    path = name.partition(":")[2]
    if _is_file(name):
        return name
    if path.startswith(("./", "../")):
        return path
    command = ["git", "rev-parse", "--show-toplevel"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return path  # no repository: git will say so
    return str(Path(os.fsdecode(done.stdout.rstrip(b"\r\n"))) / path)


def _git_show(name: str, revision: str, path: str) -> bytes:
    if not revision or revision.startswith("-") or not path:
        raise UsageError(f"{name}: not a file, and not GITREV:PATH")
    command = ["git", "show", "--no-textconv", name]
    try:
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: no such file, and git cannot be run: {error}") from None
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git show failed"]
        raise ModelError(f"{name}: {reason[-1].removeprefix('fatal: ')}")
    if done.stdout.startswith(b"tree "):
        raise ModelError(f"{name}: is a folder, not a model")
    return done.stdout
