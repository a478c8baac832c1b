"""`mcuprof verify`: integer kernels run inside the planned arena, compared with plain execution and other runtimes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mcuprof.cli import output
from mcuprof.cli.options import IN_PLACE, ORDERS, Parser, add_limit_option, as_type, reading_limits
from mcuprof.cli.pipeline import read_model
from mcuprof.errors import EXIT_FAILED, EXIT_FITS, UsageError
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import prose
from mcuprof.report.table import Column, table

if TYPE_CHECKING:
    from mcuprof.graph import Graph
    from mcuprof.memory import MemoryPlan
    from mcuprof.runner.compare import TensorDifference
    from mcuprof.runner.verify import Verification

RUNTIMES = ("tflm", "litert", "onnxruntime")
MAX_ROWS = 12


def run(arguments: list[str]) -> int:
    """Execute, compare, print; 1 when something differs by more than is allowed, or cannot be executed."""
    options = _parser().parse_intermixed_args(arguments)
    from mcuprof.runner.inputs import load_inputs
    from mcuprof.runner.verify import verify

    graph = read_model(options.model, {}, reading_limits(options))
    inputs = load_inputs(graph, Path(options.inputs)) if options.inputs else []
    # Outputs come in the same files as inputs do.
    expected = load_inputs(replace(graph, inputs=graph.outputs), Path(options.expected)) if options.expected else []
    if expected and len(expected) != len(inputs):
        raise UsageError(f"--expected holds {len(expected)} sets of outputs for {len(inputs)} sets of --inputs")
    found = verify(
        graph,
        seeds=range(options.seed, options.seed + options.count),
        inputs=inputs,
        expected=expected,
        plan=_plan(graph, options.order, options.in_place),
        against=options.against,
        max_lsb=options.max_lsb,
        progress=_progress() if sys.stderr is not None and sys.stderr.isatty() else None,
    )
    if options.format == "json":
        output.write(
            msgspec.json.format(msgspec.json.encode(_document(found), order="sorted"), indent=2).decode() + "\n"
        )
    else:
        page = output.own_page()
        output.write(page.paint(_lines(page, options.model, found)))
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
    plan = parser.add_argument_group("memory plan (of reference kernels)")
    plan.add_argument("--order", choices=ORDERS, default=ORDERS[0], help="operator order (default: as-is)")
    plan.add_argument("--in-place", choices=IN_PLACE, default=IN_PLACE[0], help="what may share bytes (default: none)")
    judge = parser.add_argument_group("comparison")
    judge.add_argument("--against", choices=RUNTIMES, help="also with this runtime, where it is installed")
    judge.add_argument("--max-lsb", type=as_type(_natural), default=0, metavar="N", help="allowed (default: 0)")
    parser.add_argument("-f", "--format", choices=("text", "json"), default="text", help="default: text")
    return parser


def _natural(text: str) -> int:
    """A number from 0 on. Raises UsageError on anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise UsageError(f"not a whole number: {text[:20]!r}")
    return int(text)


def _plan(graph: Graph, order: str, in_place: str) -> MemoryPlan | None:
    """The plan to execute in; None for models with several subgraphs or unwritten inputs, which have none."""
    from mcuprof import memory

    if graph.subgraphs:
        return None
    return memory.plan(graph, order, in_place)  # type: ignore[arg-type]  # argparse has checked the order


def _progress() -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        output.tell_again(f"verify: {done} of {total} inputs", last=done == total)

    return show


def _document(found: Verification) -> dict[str, object]:
    first = found.first
    return {
        "passed": found.passed,
        "findings": [{"code": code, "message": text} for code, text in _findings(found)],
        "inputs": found.inputs,
        "missing": [{"operator_index": i, "operator": kind, "reason": why} for i, kind, why in found.missing],
        "plan": {"executed": found.planned, "error": found.plan_error, "tensors": _rows(found.in_plan)},
        "against": {"runtime": found.runtime, "tensors": _rows(found.against)},
        "first": first.name if first else None,
        "explanation": found.explanation,
    }


def _findings(found: Verification) -> list[tuple[str, str]]:
    """V602 when the plan changed something, V601 when another side gives other values."""
    codes = []
    if found.plan_error is not None:
        codes.append(("V602", found.plan_error))
    differing = [entry.name for entry in found.in_plan if found.exceeds(entry)]
    if differing and found.plan_error is None:
        codes.append(("V602", f"{len(differing)} tensors differ inside the plan, the first {differing[0]}"))
    differing = [entry.name for entry in found.against if found.exceeds(entry)]
    if differing:
        other = found.runtime or "the expected outputs"
        codes.append(("V601", f"{len(differing)} tensors differ from {other}, the first {differing[0]}"))
    return codes


def _rows(entries: tuple[TensorDifference, ...]) -> list[dict[str, object]]:
    return [
        {
            "tensor": entry.name,
            "operator_index": entry.operator,
            "operator": entry.kind,
            "elements": entry.elements,
            "histogram": {str(step): count for step, count in sorted(entry.histogram.items())},
        }
        for entry in entries
    ]


def _lines(page: Page, model: str, found: Verification) -> list[Line]:
    word = Piece("VERIFIED", "good") if found.passed else Piece("NOT VERIFIED", "bad")
    name = page.fit(page.clean(model), page.width - len(word.text) - 2)
    lines = [line(word, "  ", Piece(name, "strong"))]
    for index, kind, reason in found.missing[:MAX_ROWS]:
        lines += prose(page, "missing", f"operator {index}, {kind}: {reason}")
    if found.plan_error:
        lines += prose(page, "plan", found.plan_error)
    elif found.in_plan:
        lines += prose(page, "plan", _summary(found.in_plan, found.inputs, "inside the plan and outside of it"))
    if found.against:
        other = found.runtime or "the expected outputs"
        lines += prose(page, "against", _summary(found.against, found.inputs, f"with {other}"))
    for code, text in _findings(found):
        lines += prose(page, code, text)
    if found.first is not None:
        first = found.first
        lines += prose(page, "first", f"operator {first.operator}, {first.kind}, tensor {page.clean(first.name)}")
        lines += prose(page, "why", found.explanation)
    different = [entry for entry in (*found.in_plan, *found.against) if entry.different]
    if different:
        heads = (
            Column("tensor", flexible=12),
            Column("differ", right=True),
            Column("of", right=True),
            Column("by LSB"),
        )
        lines += table(page, heads, [_cells(page, entry) for entry in different[:MAX_ROWS]])
    return lines


def _summary(entries: tuple[TensorDifference, ...], inputs: int, how: str) -> str:
    differing = sum(1 for entry in entries if entry.different)
    compared = f"{len(entries)} tensors on {inputs} inputs"
    return f"{compared} equal {how}" if not differing else f"{differing} of {compared} differ {how}"


def _cells(page: Page, entry: TensorDifference) -> tuple[str, str, str, str]:
    common = sorted(entry.histogram.items(), key=lambda item: -item[1])[:3]
    steps = ", ".join(f"{step:+d}: {count:,}" for step, count in common)
    return page.clean(entry.name), f"{entry.different:,}", f"{entry.elements:,}", steps
