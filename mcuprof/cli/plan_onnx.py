"""`mcuprof plan` for ONNX models: reordered, or split into stripes, with the places of the tensors in JSON beside.

No runtime for ONNX takes such a plan from the file, and TFLM cannot run it: no arena of TFLM's is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mcuprof.cli import plan_text
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import head, prose
from mcuprof.report.split_front import front_lines, regions_text
from mcuprof.split_document import SplitFront, SplitPoint
from mcuprof.units import format_bytes

if TYPE_CHECKING:
    from mcuprof.cli.plan import Job
    from mcuprof.planning.split_onnx import OnnxSplit
    from mcuprof.planning.split_orchestrate import Limits
    from mcuprof.planning.splitting import Point


def reordered(page: Page, job: Job, data: bytes, note: Sequence[Line] = ()) -> list[Line]:
    """A reordered file with the plan as JSON beside it, or the plan alone; `note` comes below the title.

    Raises as `planning.plan_onnx`.
    """
    from mcuprof.planning import plan_onnx
    from mcuprof.writers.header import c_header
    from mcuprof.writers.listing import plan_json
    from mcuprof.writers.onnx import reordered

    if not note:
        job, data, note = _pruned(page, job, data)
    plan, steps = plan_onnx(job.graph, job.wishes, job.firmware, job.say)
    name = Path(job.model).name
    beside = ""
    if job.emit:
        form = plan_json if job.emit == "json" else c_header
        job.write(form(job.graph, plan, name, job.firmware.library).encode())
    elif job.target is not None:
        text = plan_json(job.graph, plan, name, job.firmware.library)
        beside = _write_both(job, reordered(data, job.graph, plan.order), text)
    moved = sum(position != number for position, number in enumerate(plan.order))
    return [
        *plan_text.title(page, job),
        *note,
        *prose(
            page, "tensors", f"{format_bytes(plan.arena_bytes)} ({plan.certificate}), without a runtime's own needs"
        ),
        *prose(page, "order", f"{moved} of {len(plan.order)} operators moved" if moved else "as in the file"),
        *(row for step in steps for row in prose(page, "proof", step.text, limit=None)),
        *plan_text.outcome(page, job, f"reordered; plan in {Path(beside).name}" if beside else "the plan"),
    ]


def split(page: Page, job: Job, data: bytes, limits: Limits) -> list[Line]:
    """Splits and writes, with the plan as JSON beside. Raises as `planning.split_onnx`."""
    from mcuprof.cli.plan_split import progress
    from mcuprof.planning.split_onnx import split_onnx
    from mcuprof.writers.listing import plan_json

    job, data, note = _pruned(page, job, data)
    say = progress(job.model, job.verbose)
    try:
        found = split_onnx(job.graph, data, limits, say)
    finally:
        say("")
    if found.point is None:
        return reordered(page, job, data, [*note, *prose(page, "split", _nothing(found), limit=None)])
    beside = ""
    if job.target is not None:
        text = plan_json(found.graph, found.plan, Path(job.model).name, job.firmware.library)
        beside = f"; plan in {Path(_write_both(job, found.data, text)).name}"
    return [
        *plan_text.title(page, job),
        *note,
        *_report(page, found),
        *plan_text.outcome(page, job, f"written{beside}"),
    ]


def _pruned(page: Page, job: Job, data: bytes) -> tuple[Job, bytes, list[Line]]:
    """The job and file without dead channels where that is wanted and possible, and what to say of it."""
    from mcuprof.ops.floating import is_float_island
    from mcuprof.planning.pruning_onnx import prune_onnx

    if not job.prune:
        return job, data, []
    pruned, why = prune_onnx(job.graph, data, floats=job.prune_floats, say=job.say)
    if pruned is None:
        return job, data, prose(page, "pruned", why, limit=None) if why else []
    proof = [row for step in pruned.steps for row in prose(page, "proof", step.text, limit=None)]
    certain = not job.prune_floats or not any(is_float_island(op) for op in job.graph.ops)
    equal = "every output equal" if certain else "every output equal on tested inputs; float sums may round otherwise"
    went = prose(page, "pruned", plan_text.went(pruned, equal), limit=None)
    return replace(job, graph=pruned.graph), pruned.data, [*went, *proof]


def front(points: Sequence[Point]) -> SplitFront:
    """The front as the document holds it."""
    from mcuprof.cli.plan_split import regions_of
    from mcuprof.planning.split_time import copied_bytes

    rows = tuple(
        SplitPoint(point.bytes, round(point.work, 6), copied_bytes(point.split.graph), None, regions_of(point))
        for point in points
    )
    return SplitFront(rows, "no data: no runtime for ONNX was measured")


def _report(page: Page, found: OnnxSplit) -> list[Line]:
    from mcuprof.cli.plan_split import regions_of

    assert found.point is not None
    before, after = found.before.arena_bytes, found.plan.arena_bytes
    saved = before - after
    chosen = next((number for number, point in enumerate(found.front) if point is found.point), None)
    regions = regions_text(regions_of(found.point))
    what = f"operators {regions} stripes, {100 * found.point.work:+.1f} % work; Slice and Concat copy"
    return [
        line(head("tensors"), f"{before:,} B -> ", Piece(format_bytes(after), "strong")),
        line(head(""), Piece(f"saves {saved:,} B, {100 * saved / max(1, before):.0f} %", "good")),
        *prose(page, "", "without a runtime's own needs; no two tensors share bytes", limit=None),
        *prose(page, "split", what, limit=None),
        line(head("front"), Piece("bytes of tensors against work (MACs, and 8 for each byte Slice copies)", "dim")),
        *front_lines(page, front(found.front), chosen),
        *(row for step in found.steps for row in prose(page, "proof", step.text, limit=None)),
    ]


def _nothing(found: OnnxSplit) -> str:
    plan, graph = found.before, found.graph
    number = plan.order[plan.peak_position]
    op = graph.ops[number]
    binds = f"operator {number} ({op.kind}) binds"
    if op.kind == "QUANTIZE" and op.inputs[0] in graph.inputs:
        binds += f", for the input {graph.input(op).name!r} is float: a model that takes integers needs less"
    return f"not split: nothing smaller within these limits; {binds}; planned as without --split"


def _write_both(job: Job, data: bytes, plan: str) -> str:
    """The model, then the plan beside it; the name of the latter."""
    from mcuprof.writers import replace_file

    beside = f"{job.target}.plan.json"
    job.write(data)
    replace_file(beside, plan.encode())
    return beside
