"""`mcuprof plan`: a better memory plan, proven and written into the model file."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from mcuprof.cli import output, plan_onnx, plan_split, plan_text
from mcuprof.cli.options import ORDERS, Parser, add_limit_option, reading_limits
from mcuprof.cli.pipeline import load_target, read_model, read_to_execute, spare_devices
from mcuprof.errors import EXIT_FITS, McuprofError, ModelError, UsageError
from mcuprof.report.page import Line, Page
from mcuprof.report.pieces import prose

if TYPE_CHECKING:
    from mcuprof.graph import Graph
    from mcuprof.hardware.device import Device
    from mcuprof.planning import Firmware, Planned, Pruned, Wishes
    from mcuprof.planning.split_orchestrate import Limits

# TinyEngine's in-place depthwise is left out: no kernel of TFLM can do it.
IN_PLACE = ("none", "alias", "elementwise", "overlap")


def run(arguments: list[str]) -> int:
    """Plan, prove and write; exit code 1 for a plan that does not stand its proof."""
    options = _parser().parse_intermixed_args(arguments)
    _check(options)
    if options.strip:
        return _strip(options)
    jobs = [_job(options, model) for model in options.models]
    page = output.own_page()
    lines: list[Line] = []
    planned = []
    for job in jobs:
        try:
            if job.limits is not None:
                lines += _split(page, job, job.limits)
                continue
            is_onnx = job.graph.origin.format == "onnx"
            outcome, pruned = (None, None) if is_onnx else _tflite(job)
            if is_onnx:
                lines += plan_onnx.reordered(page, job, _bytes(job.model, job.graph))
            else:
                lines += plan_text.report(page, job, outcome, pruned)
            planned.append(outcome)
        except McuprofError as error:
            raise type(error)(f"{job.model}: {error}") from None
    if options.share_arena:
        lines += plan_text.shared_lines(page, [outcome for outcome in planned if outcome is not None])
    output.write(page.paint(lines))
    return EXIT_FITS


def _parser() -> Parser:
    parser = Parser("plan", "Writes a better memory plan into the model, so that the stock runtime needs less arena.")
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite or .onnx file")
    parser.add_argument("-o", "--output", metavar="OUT", help="file to write (with several models: a directory)")
    parser.add_argument("--in-place-file", action="store_true", help="replace the model file itself")
    parser.add_argument("-v", "--verbose", action="store_true", help="say on stderr what is being done")
    add_limit_option(parser)
    target = parser.add_argument_group("target")
    target.add_argument(
        "-d", "--device", metavar="DEVICE", help="see mcuprof devices; decides which bytes may be shared"
    )
    target.add_argument(
        "--assume-kernels", metavar="LIB", help="reference, cmsis-nn or esp-nn, whatever the vendor ships"
    )
    plan = parser.add_argument_group("plan")
    plan.add_argument("--order", choices=ORDERS, default="optimal", help="operator order (default: optimal)")
    plan.add_argument(
        "--in-place", choices=IN_PLACE, help="what may share bytes (default: overlap where the kernels are known)"
    )
    plan.add_argument(
        "--prune-dead",
        action=argparse.BooleanOptionalAction,
        help="remove what no output needs first, where every output stays equal (default: yes, but not with "
        "--in-place-file, not with --emit, and for ONNX where integers are summed; --split always does)",
    )
    plan.add_argument("--force", action="store_true", help="replace a plan that the model carries")
    plan.add_argument("--strip", action="store_true", help="take the plan out again, and nothing else")
    plan.add_argument("--emit", choices=("c-header", "json"), help="write the plan in this form instead of a model")
    plan_split.add_options(parser)
    plan.add_argument("--share-arena", action="store_true", help="size one arena for several models that take turns")
    return parser


def _check(options: argparse.Namespace) -> None:
    """Raises UsageError for options that contradict each other, or a file that would be overwritten by surprise."""
    from mcuprof.writers import same_file

    plan_split.limits_of(options)

    several = len(options.models) > 1
    if several and not options.share_arena:
        raise UsageError("several models: add --share-arena, or plan them one by one")
    if options.in_place_file and (options.output is not None or options.emit):
        raise UsageError("--in-place-file writes the model file itself: it goes with neither -o nor --emit")
    if options.prune_dead and (options.emit or options.strip):
        raise UsageError("--prune-dead makes a new model: it goes with neither --emit nor --strip")
    if options.strip and (options.emit or options.force or options.share_arena):
        raise UsageError("--strip takes a plan out: it goes with neither --emit, --force nor --share-arena")
    if (options.strip or options.emit) and not (options.output or options.in_place_file):
        raise UsageError("name the file to write with -o")
    if options.output is not None:
        if several and not Path(options.output).is_dir():
            raise UsageError(f"-o {options.output}: several models need a directory that exists")
        targets = {_target(options, model) or "" for model in options.models}
        if len(targets) < len(options.models):
            raise UsageError("two models have the same name: they cannot both go into one directory")
        for target, model in product(targets, options.models):
            if same_file(target, model):
                raise UsageError(f"-o {options.output} is the model itself (to replace it, say --in-place-file)")
        for target in targets:
            spare_devices(target, [options.device])
    if options.in_place == "overlap" and options.device is None and options.assume_kernels is None:
        raise UsageError("--in-place overlap is only safe for known kernels: add -d DEVICE or --assume-kernels LIB")


def _target(options: argparse.Namespace, model: str) -> str | None:
    if options.in_place_file:
        return model
    if options.output is None:
        return None
    suffix = {"c-header": "_plan.h", "json": ".plan.json"}.get(options.emit or "")
    name = Path(model).name if suffix is None else Path(model).stem + suffix
    return str(Path(options.output) / name) if Path(options.output).is_dir() else str(options.output)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One model with all that was asked for it. `target` is the file to write, None for a dry run."""

    model: str
    graph: Graph
    firmware: Firmware
    firmware_name: str
    wishes: Wishes
    target: str | None
    emit: str | None
    force: bool
    verbose: bool
    device: Device | None
    limits: Limits | None
    prune: bool
    prune_floats: bool

    def say(self, message: str) -> None:
        """Progress, for those who asked."""
        if self.verbose:
            output.tell(f"{self.model}: {message}")

    def write(self, data: bytes) -> None:
        """Writes the file that was asked for, if any."""
        from mcuprof.writers import replace_file

        if self.target is not None:
            replace_file(self.target, data)


def _job(options: argparse.Namespace, model: str) -> Job:
    from mcuprof.planning import Firmware, Wishes

    device = None if options.device is None else load_target(options.device, None)
    library = options.assume_kernels or (device.kernels if device else "reference")
    firmware = Firmware(library, device.core if device else None)
    known = device is not None or options.assume_kernels is not None
    in_place = options.in_place or ("overlap" if known else "none")
    where = device.name if device else "no device named"
    return Job(
        model,
        read_to_execute(model, reading_limits(options)),
        firmware,
        f"{where}, tflm, {library} kernels",
        Wishes(options.order, in_place),
        _target(options, model),
        options.emit,
        options.force,
        options.verbose,
        device,
        plan_split.limits_of(options),
        # What replaces the user's only copy keeps all that was in it, unless asked otherwise.
        not (options.emit or options.in_place_file) if options.prune_dead is None else options.prune_dead,
        bool(options.prune_dead),
    )


# Split ---------------------------------------------------------------------------------------------------------------


def _split(page: Page, job: Job, limits: Limits) -> list[Line]:
    """Splits and writes. A plan that the model carries is taken out first: it says nothing of the new tensors."""
    from mcuprof.planning.split_orchestrate import split_tflite
    from mcuprof.readers.tflite import read_tflite
    from mcuprof.writers import carries_plan, strip

    data, graph = _bytes(job.model, job.graph), job.graph
    if graph.origin.format == "onnx":
        return plan_onnx.split(page, job, data, limits)
    if carries_plan(graph.origin.metadata):
        if not job.force:
            raise UsageError("carries a plan already; --force splits without it")
        data = strip(data)
        graph = read_tflite(data, {})
    say = plan_split.progress(job.model, job.verbose)
    try:
        found = split_tflite(graph, data, job.firmware, job.wishes, limits, say)
    finally:
        say("")
    job.write(found.data)
    return [
        *plan_text.title(page, job),
        *plan_split.report(page, found, job.firmware.library, job.device),
        *plan_text.outcome(page, job, "written"),
    ]


# TFLite ---------------------------------------------------------------------------------------------------------------


def _tflite(job: Job) -> tuple[Planned | None, Pruned | None]:
    """Prunes where that is wanted and gains, plans and writes; no plan when the model keeps the one it carries."""
    from mcuprof.planning import plan_pruned, plan_tflite
    from mcuprof.readers.tflite import read_tflite
    from mcuprof.writers import carries_plan, strip

    data = _bytes(job.model, job.graph)
    graph = job.graph
    if carries_plan(graph.origin.metadata):
        if not job.force:
            if job.emit:
                raise UsageError("carries a plan already; --force makes a new one")
            job.write(data)
            return None, None
        data = strip(data)
        graph = read_tflite(data, {})
    if job.prune:
        planned, pruned = plan_pruned(graph, data, job.firmware, job.wishes, job.say)
    else:
        planned, pruned = plan_tflite(graph, data, job.firmware, job.wishes, job.say), None
    job.write(_emitted(job, planned) if job.emit else planned.data)
    return planned, pruned


def _emitted(job: Job, planned: Planned) -> bytes:
    """The plan for another runtime, which has use for it even where TFLM's own is as good."""
    from mcuprof.planning.choice import best, candidates
    from mcuprof.planning.orchestrate import overlaps
    from mcuprof.writers.header import c_header
    from mcuprof.writers.listing import plan_json

    plan, kernels = planned.plan, planned.kernels
    if plan is None:
        chosen = best(candidates(planned.graph, planned.data, job.firmware, job.wishes))
        plan, kernels = chosen.plan, chosen.rules.name if overlaps(planned.graph, chosen.plan) else ""
    form = plan_json if job.emit == "json" else c_header
    return form(planned.graph, plan, Path(job.model).name, kernels).encode()


# Strip, files ---------------------------------------------------------------------------------------------------------


def _strip(options: argparse.Namespace) -> int:
    from mcuprof.writers import carries_plan, replace_file, strip
    from mcuprof.writers.tflite import is_own

    (model,) = options.models
    graph = read_model(model, {}, reading_limits(options))
    if graph.origin.format != "tflite":
        raise UsageError(f"{model}: only .tflite files carry a plan")
    target = _target(options, model)
    assert target is not None, "checked: -o or --in-place-file is there"
    data = _bytes(model, graph)
    try:
        stripped = strip(data)
    except ModelError as error:
        raise ModelError(f"{model}: {error}") from None
    replace_file(target, stripped)
    if not carries_plan(graph.origin.metadata):
        what = "carried no plan: copied"
    elif is_own(graph.origin.metadata):
        what = "the file from before the plan"
    else:
        what = "another tool's plan removed; operators in the order they had"
    page = output.own_page()
    output.write(page.paint(prose(page, "file", f"{target} ({what}, {len(stripped):,} B)", limit=None)))
    return EXIT_FITS


def _bytes(model: str, graph: Graph) -> bytes:
    """The file that `graph` was read from. Raises ModelError when it is gone or another by now."""
    try:
        data = Path(model).read_bytes()
    except OSError as error:
        raise ModelError(f"{model}: {(error.strerror or str(error)).lower()}") from None
    if sha256(data).hexdigest() != graph.origin.sha256:
        raise ModelError(f"{model}: has changed while it was read")
    return data
