"""Writes the cost laws of every core and kernel set to `device_db/kernels/`, with their held-out errors.

Run by tools/fit.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from compose import PAIRS, is_executed, laws, training_rows
from fitting import Law, predict, solve
from tables import CORE_IDS, KERNELS, ROOT, SIMD, Row, counted_operators, counted_totals, groups

_SOURCES = {
    "operators": "TFLM operators of whole models, executed on an emulated core (tflm_instr_cortexm.csv)",
    "kernels": "kernel functions counted alone on an emulated core (instr_counts.csv)",
    "rates": "rates pooled over element types (tflm_op_rates.csv)",
}
_HEADER = """\
# Instructions of TFLM operators: {kernels} kernels on {core}. Written by tools/fit_kernels.py; do not edit.
# instructions = sum of coefficient x feature (mcuprof/costs/features.py), plus the overhead of the interpreter.
# Counts: tflite-micro 90b983c, CMSIS-NN 4ab83cc / 99f736a6, GCC 12.2, kernels -O2, QEMU 7.2.
"""


@dataclass(frozen=True, slots=True)
class Validation:
    """Relative errors of instruction totals, each model predicted without its group."""

    errors: Mapping[str, float]
    uncovered: tuple[str, ...]
    basis: str


def overhead(core: str, kernels: str) -> tuple[float, float]:
    """Instructions of the interpreter per inference and per operator, from totals minus operators."""
    totals, rows = counted_totals(core, kernels), counted_operators(core, kernels)
    operators, inside = Counter(row.model for row in rows), Counter[str]()
    for row in rows:
        inside[row.model] += row.instructions
    names = sorted(totals)
    matrix = np.array([[1.0, operators[name]] for name in names])
    rest = np.array([totals[name] - inside[name] for name in names], float)
    weight = np.array([1 / totals[name] for name in names])
    const, per_operator = np.linalg.lstsq(matrix * weight[:, None], rest * weight, rcond=None)[0]
    return float(const), float(per_operator)


def validate(core: str, kernels: str, found: Mapping[str, Law]) -> Validation:
    """Leave-one-model-out errors of the totals; a model with a class that only its group has is not covered."""
    rows = training_rows(core, kernels)
    const, per_operator = overhead(core, kernels)
    totals, executed = counted_totals(core, kernels), counted_operators(core, kernels)
    errors, uncovered = {}, []
    for name in sorted(totals):
        mine = [row for row in executed if row.model == name]
        held = {row.kernel: _without(rows[row.kernel], groups()[name], found[row.kernel]) for row in mine}
        if None in held.values():
            uncovered.append(name)
            continue
        parts = (predict(held[row.kernel] or {}, row.features) for row in mine)
        errors[name] = (const + per_operator * len(mine) + sum(parts)) / totals[name] - 1
    return Validation(errors, tuple(uncovered), "leave-one-model-out")


def _without(rows: list[Row], group: str, law: Law) -> dict[str, float] | None:
    rest = [row for row in rows if row.group != group]
    return solve(rest, list(law.coefficients)) if rest else None


def validate_kernels(core: str, kernels: str) -> Validation:
    """How good laws made without executed models are: of kernels counted alone, judged on a core that has models."""
    found = laws(core, kernels, training_rows(core, kernels, alone=True))
    others = laws(core, kernels)
    const, per_operator = overhead(core, kernels)
    errors = {}
    executed = counted_operators(core, kernels)
    for name, total in counted_totals(core, kernels).items():
        mine = [row for row in executed if row.model == name]
        parts = (predict((found.get(row.kernel) or others[row.kernel]).coefficients, row.features) for row in mine)
        errors[name] = (const + per_operator * len(mine) + sum(parts)) / total - 1
    return Validation(errors, (), f"kernels counted alone, judged on {CORE_IDS[core]}")


def render(core: str, kernels: str, found: Mapping[str, Law], check: Validation) -> str:
    """The TOML file of one core and kernel set."""
    donor = (
        (core, kernels)
        if is_executed(core, kernels)
        else (core if core == "m0plus" else "m4", "cmsis" if (core, kernels) == ("m3", "cmsis") else "ref")
    )
    const, per_operator = overhead(*donor)
    sizes = np.abs(list(check.errors.values()))
    lines = [
        _HEADER.format(kernels=KERNELS[kernels], core=CORE_IDS[core]),
        f'core = "{CORE_IDS[core]}"',
        f'kernels = "{KERNELS[kernels]}"',
        'runtime = "tflm"',
        f'simd = "{SIMD[core]}"',
        "",
        "[overhead]",
        f"per_inference = {const:.6g}",
        f"per_operator = {per_operator:.6g}",
        "",
        "[validation]  # relative errors of instruction totals on models that the laws had not seen",
        f'basis = "{check.basis}"',
        f"models = {len(sizes)}",
        f"median = {np.median(sizes):.4f}",
        f"p90 = {np.quantile(sizes, 0.9):.4f}",
        f"worst = {sizes.max():.4f}",
        "",
    ]
    for name, law in found.items():
        lines += [
            f'[classes."{name}"]',
            f'source = "{_source(law.basis)}"',
            f"rows = {law.rows}",
            f"models = {law.models}",
        ]
        if law.errors:
            lines.append(f"error_median = {np.median(np.abs(law.errors)):.4f}")
            lines.append(f"error_worst = {np.max(np.abs(law.errors)):.4f}")
        values = ", ".join(f"{feature} = {value:.6g}" for feature, value in law.coefficients.items())
        lines.append(f"coefficients = {{ {values} }}")
        if law.domain:
            ranges = ", ".join(f"{feature} = [{low:g}, {high:g}]" for feature, (low, high) in law.domain.items())
            lines.append(f"domain = {{ {ranges} }}")
        lines.append("")
    return "\n".join(lines)


def _source(basis: str) -> str:
    if basis.startswith("cortex-"):
        return f"{basis} compiles the same C code: its count stands in"
    return "; ".join(_SOURCES[part] for part in basis.split(" and "))


def summary(results: Mapping[tuple[str, str], Validation]) -> str:
    """The instruction part of VALIDATION.md."""
    lines = [
        "| core | kernels | how | models | median | 90 % | worst | worst models |",
        "|---|---|---|---:|---:|---:|---:|---|",
    ]
    for (core, kernels), check in results.items():
        sizes = np.abs(list(check.errors.values()))
        worst = sorted(check.errors.items(), key=lambda item: -abs(item[1]))[:3]
        named = ", ".join(f"{name} {error:+.1%}" for name, error in worst)
        lines.append(
            f"| {CORE_IDS[core]} | {KERNELS[kernels]} | {check.basis} | {len(sizes)} | {np.median(sizes):.2%} "
            f"| {np.quantile(sizes, 0.9):.2%} | {sizes.max():.2%} | {named} |"
        )
    return "\n".join(lines)


def main() -> Mapping[tuple[str, str], Validation]:
    """Fit, validate and write everything; returns the validations by (core, kernels)."""
    target = ROOT / "device_db" / "kernels"
    target.mkdir(parents=True, exist_ok=True)
    results = {}
    for core, kernels in PAIRS:
        found = laws(core, kernels)
        if is_executed(core, kernels):
            check = validate(core, kernels, found)
        elif (core, kernels) == ("m3", "ref"):
            check = validate("m4", "ref", laws("m4", "ref"))
        else:
            check = validate_kernels("m4", "cmsis" if kernels == "cmsis" else "ref")
        results[core, kernels] = check
        path = target / f"{KERNELS[kernels]}-{CORE_IDS[core]}.toml"
        path.write_text(render(core, kernels, found, check), encoding="utf-8")
    return results
