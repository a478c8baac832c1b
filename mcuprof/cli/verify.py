"""`mcuprof verify`: integer kernels run inside the planned arena, compared with plain execution and other runtimes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mcuprof.cli import output, verify_text
from mcuprof.cli.options import IN_PLACE, ORDERS, Parser, add_limit_option, as_type, reading_limits
from mcuprof.cli.pipeline import load_target, read_model, read_to_execute
from mcuprof.errors import EXIT_FAILED, EXIT_FITS, UsageError

if TYPE_CHECKING:
    from mcuprof.graph import Graph
    from mcuprof.ops.traversal import Walk
    from mcuprof.runner.arena import Plan

RUNTIMES = ("tflm", "litert", "onnxruntime")
MAX_JOBS = 64


def run(arguments: list[str]) -> int:
    """Execute, compare, print; 1 when something differs by more than is allowed, or cannot be executed."""
    options = _parser().parse_intermixed_args(arguments)
    from mcuprof.runner.inputs import load_inputs
    from mcuprof.runner.verify import verify

    graph = read_to_execute(options.model, reading_limits(options))
    inputs = load_inputs(graph, Path(options.inputs)) if options.inputs else []
    # Outputs come in the same files as inputs do.
    expected = load_inputs(replace(graph, inputs=graph.outputs), Path(options.expected)) if options.expected else []
    if expected and len(expected) != len(inputs):
        raise UsageError(f"--expected holds {len(expected)} sets of outputs for {len(inputs)} sets of --inputs")
    plan, walk = _plan(graph, options)
    found = verify(
        graph,
        seeds=range(options.seed, options.seed + options.count),
        inputs=inputs,
        expected=expected,
        plan=plan,
        walk=walk,
        against=options.against,
        reference=read_model(options.reference, {}, reading_limits(options)) if options.reference else None,
        max_lsb=options.max_lsb,
        jobs=options.jobs,
        progress=_progress() if sys.stderr is not None and sys.stderr.isatty() else None,
    )
    if options.format == "json":
        output.write(
            msgspec.json.format(msgspec.json.encode(verify_text.document(found), order="sorted"), indent=2).decode()
            + "\n"
        )
    else:
        page = output.own_page()
        output.write(page.paint(verify_text.lines(page, options.model, found)))
    return EXIT_FITS if found.passed else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = Parser("verify", "Execute the model bit for bit inside a memory plan, and compare every tensor.")
    parser.add_argument("model", metavar="MODEL", help=".tflite or .onnx file")
    add_limit_option(parser)
    data = parser.add_argument_group("inputs")
    data.add_argument("--inputs", metavar="PATH", help=".npz, .npy, .bin, or a folder of them (default: random)")
    data.add_argument("--expected", metavar="PATH", help="the outputs that --inputs must give, in the same formats")
    data.add_argument("--count", type=as_type(_natural), default=5, metavar="N", help="random inputs (default: 5)")
    data.add_argument("--seed", type=as_type(_natural), default=0, metavar="N", help="first seed (default: 0)")
    plan = parser.add_argument_group("memory plan (for reference kernels, unless --plan names others)")
    plan.add_argument("--order", choices=ORDERS, help="operator order (default: as-is)")
    plan.add_argument("--in-place", choices=IN_PLACE, help="what may share bytes (default: none)")
    plan.add_argument(
        "--plan",
        metavar="FILE",
        help="execute this plan: plan JSON or a C header (plan --emit), a planned .tflite, or a JSON report",
    )
    plan.add_argument(
        "-d", "--device", metavar="DEVICE", help="with --plan: whose kernels, and which result of a report"
    )
    plan.add_argument("--assume-kernels", metavar="LIB", help="with --plan: reference, cmsis-nn or esp-nn")
    judge = parser.add_argument_group("comparison")
    judge.add_argument("--against", choices=RUNTIMES, help="also with this runtime, where it is installed")
    judge.add_argument(
        "--reference", metavar="MODEL", help="the float .tflite or .onnx twin: signal to noise of each layer"
    )
    judge.add_argument("--max-lsb", type=as_type(_natural), default=0, metavar="N", help="allowed (default: 0)")
    parser.add_argument("-j", "--jobs", type=as_type(_jobs), default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("-f", "--format", choices=("text", "json"), default="text", help="default: text")
    return parser


def _natural(text: str) -> int:
    """A number from 0 on. Raises UsageError on anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise UsageError(f"not a whole number: {text[:20]!r}")
    return int(text)


def _jobs(text: str) -> int:
    """A number of processes. Raises UsageError on anything else."""
    if not 1 <= (number := _natural(text)) <= MAX_JOBS:
        raise UsageError(f"not a number of processes from 1 to {MAX_JOBS}: {text[:20]!r}")
    return number


def _plan(graph: Graph, options: argparse.Namespace) -> tuple[Plan | None, Walk]:
    """The plan to execute in and how its kernels read; no plan for models with several subgraphs, unless it is named.

    Raises UsageError for options that contradict each other, and for a file that holds no plan of this model.
    """
    from mcuprof import memory
    from mcuprof.ops.traversal import reference_walk

    if options.plan is not None:
        if options.order or options.in_place:
            raise UsageError("--plan brings its own order and sharing: it goes with neither --order nor --in-place")
        from mcuprof.planning import Firmware
        from mcuprof.planning.stored import stored_plan

        device = None if options.device is None else load_target(options.device, None)
        firmware = None
        if device is not None or options.assume_kernels is not None:
            library = options.assume_kernels or (device.kernels if device else "reference")
            firmware = Firmware(library, device.core if device else None)
        stored = stored_plan(graph, options.plan, firmware, device.id if device else None)
        return stored, stored.walk
    if options.device or options.assume_kernels:
        raise UsageError("-d and --assume-kernels say who runs a plan: they go with --plan FILE")
    if graph.subgraphs:
        return None, reference_walk
    order: Any = options.order or ORDERS[0]  # checked by argparse
    plan = memory.plan(graph, order, options.in_place or IN_PLACE[0])
    return plan, reference_walk


def _progress() -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        output.tell_again(f"verify: {done} of {total} inputs", last=done == total)

    return show
