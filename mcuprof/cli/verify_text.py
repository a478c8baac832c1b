"""What `mcuprof verify` prints: the verdict, what differs first and why, the layers with the most noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import prose
from mcuprof.report.table import Column, table

if TYPE_CHECKING:
    from mcuprof.runner.compare import TensorDifference
    from mcuprof.runner.twin import LayerNoise
    from mcuprof.runner.verify import Verification

MAX_ROWS = 12


def document(found: Verification) -> dict[str, object]:
    """The same as JSON; `sqnr_db` is null for layers without noise or without signal."""
    first = found.first
    return {
        "passed": found.passed,
        "findings": [{"code": code, "message": text} for code, text in _findings(found)],
        "inputs": found.inputs,
        "missing": [{"operator_index": i, "operator": kind, "reason": why} for i, kind, why in found.missing],
        "plan": {
            "executed": found.planned and not found.missing,
            "error": found.plan_error,
            "tensors": _rows(found.in_plan),
        },
        "against": {"runtime": found.runtime, "tensors": _rows(found.against)},
        "first": first.name if first else None,
        "explanation": found.explanation,
        "reference": {"runtime": found.reference, "layers": [_layer(layer) for layer in found.layers]},
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


def _layer(layer: LayerNoise) -> dict[str, object]:
    return {
        "tensor": layer.name,
        "operator_index": layer.operator,
        "operator": layer.kind,
        "reference_tensor": layer.reference,
        "matched_by": layer.matched,
        "signal": layer.signal,
        "noise": layer.noise,
        "sqnr_db": layer.sqnr_db,
    }


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


def lines(page: Page, model: str, found: Verification) -> list[Line]:
    """The verdict first, then what there is to say about it."""
    word = Piece("VERIFIED", "good") if found.passed else Piece("NOT VERIFIED", "bad")
    name = page.fit(page.clean(model), page.width - len(word.text) - 2)
    found_lines = [line(word, "  ", Piece(name, "strong"))]
    for index, kind, reason in found.missing[:MAX_ROWS]:
        found_lines += prose(page, "missing", f"operator {index}, {kind}: {reason}")
    if len(found.missing) > MAX_ROWS:
        found_lines += prose(page, "missing", f"{len(found.missing) - MAX_ROWS} operators more (all of them: -f json)")
    if found.plan_error:
        found_lines += prose(page, "plan", found.plan_error)
    elif found.planned and found.missing:
        found_lines += prose(page, "plan", f"not executed: {len(found.missing)} operators have no kernel")
    elif found.in_plan:
        found_lines += prose(page, "plan", _summary(found.in_plan, found.inputs, "inside the plan and outside of it"))
    if found.against:
        other = found.runtime or "the expected outputs"
        found_lines += prose(page, "against", _summary(found.against, found.inputs, f"with {other}"))
    for code, text in _findings(found):
        found_lines += prose(page, code, text)
    if found.first is not None:
        first = found.first
        found_lines += prose(page, "first", f"operator {first.operator}, {first.kind}, tensor {page.clean(first.name)}")
        found_lines += prose(page, "why", found.explanation)
    different = [entry for entry in (*found.in_plan, *found.against) if entry.different]
    if different:
        heads = (
            Column("tensor", flexible=12),
            Column("differ", right=True),
            Column("of", right=True),
            Column("by LSB"),
        )
        found_lines += table(page, heads, [_cells(page, entry) for entry in different[:MAX_ROWS]])
    return found_lines + _noise(page, found)


def _summary(entries: tuple[TensorDifference, ...], inputs: int, how: str) -> str:
    differing = sum(1 for entry in entries if entry.different)
    compared = f"{len(entries)} tensors on {inputs} inputs"
    return f"{compared} equal {how}" if not differing else f"{differing} of {compared} differ {how}"


def _cells(page: Page, entry: TensorDifference) -> tuple[str, str, str, str]:
    common = sorted(entry.histogram.items(), key=lambda item: -item[1])[:3]
    steps = ", ".join(f"{step:+d}: {count:,}" for step, count in common)
    return page.clean(entry.name), f"{entry.different:,}", f"{entry.elements:,}", steps


def _noise(page: Page, found: Verification) -> list[Line]:
    """Each layer's SQNR, the worst first."""
    if found.reference is None:
        return []
    count = len(found.layers)
    shown = f"the {MAX_ROWS} worst of {count} layers" if count > MAX_ROWS else f"{count} layers, the worst first"
    text = f"signal to quantization noise of {shown}; float model run by {found.reference}, {found.inputs} inputs"
    heads = (Column("dB", right=True), Column("op", right=True), Column("operator"), Column("tensor", flexible=12))
    rows = [
        (
            _ratio(layer),
            str(layer.operator),
            page.clean(layer.kind),
            page.clean(layer.name),
        )
        for layer in found.layers[:MAX_ROWS]
    ]
    return [*prose(page, "float", text), *table(page, heads, rows)]


def _ratio(layer: LayerNoise) -> str:
    if layer.sqnr_db is not None:
        return f"{layer.sqnr_db:.1f}"
    return "exact" if layer.noise == 0 else "no data"
