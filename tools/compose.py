"""Which counts make the cost laws of one core and kernel set.

- Executed (`operators`): whole TFLM operators of real models on this core. Used wherever there are any.
- Kernel functions counted alone (`kernels`), plus what TFLM wraps around them: for classes that few models have, for
  int16 and int4, and for CMSIS-NN on the cores on which no whole model was executed (Cortex-M0+, Cortex-M3).
- Borrowed (`cortex-m4` …): operators that both kernel sets or both cores run as the same integer C code.
- Rates (`rates`): operators of which only a fit over all element types was published.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from statistics import median

from fitting import Law, fit
from tables import Row, counted_kernels, counted_operators, table

from mcuprof.costs.kernels import UNTYPED

# Below this many groups of models a class also learns from kernels counted alone.
_ENOUGH_GROUPS = 10
_EXECUTED = {
    *((core, "cmsis") for core in ("m4", "m7", "m33", "m55")),
    *((core, "ref") for core in ("m0plus", "m4", "m7", "m33", "m55")),
}
# (core, kernels) → whose operators stand in for those without a count of their own.
_DONORS = {
    ("m0plus", "cmsis"): ("m0plus", "ref"),
    ("m3", "cmsis"): ("m4", "cmsis"),
    ("m3", "ref"): ("m4", "ref"),
    ("rv32imc", "ref"): ("m4", "ref"),
    ("rv32imc", "espnn"): ("rv32imc", "ref"),
}

# CMSIS-NN has kernels of its own for these; a reference count says nothing about them, nor a DSP count about plain C.
_LIBRARY = ("conv_", "dwconv_", "fc_", "avgpool_", "maxpool_", "svdf_", "lstm_", "softmax_")
_COPIES = ("pad_", "transpose_")
_LIBRARY_EXACT = ("add_s8", "mul_s8", "add_s16", "mul_s16")
_COMPUTE = ("conv_", "dwconv_", "fc_", "svdf_", "lstm_")
_SIZES = ("macs", "out_elems", "in_elems", "out_c", "steps", "depth", "cells", "feature_macs", "time_macs", "filters")
# A rate pooled over element types is believed only when it hardly varies.
_POOLED_ERROR = 0.15
PAIRS = tuple(sorted(_EXECUTED | set(_DONORS)))


def is_executed(core: str, kernels: str) -> bool:
    """True when whole models were executed on this core with these kernels."""
    return (core, kernels) in _EXECUTED


def training_rows(core: str, kernels: str, *, alone: bool = False) -> dict[str, list[Row]]:
    """Kernel class → the rows its law is fitted on; with `alone`, as if no model had been executed."""
    rows: dict[str, list[Row]] = defaultdict(list)
    executed = is_executed(core, kernels) and not alone
    if executed:
        for row in counted_operators(core, kernels):
            rows[row.kernel].append(row)
    if (kernels != "cmsis" and executed) or (core, kernels) == ("m3", "ref"):
        return dict(rows)
    opt = "O2" if executed or kernels != "cmsis" else "O3"  # CMSIS-NN was not counted at -O2 on Cortex-M0+ and -M3
    around = wrapper(core if is_executed(core, kernels) else "m4", "O2")
    for row in counted_kernels(core, kernels, opt):
        groups = {mine.group for mine in rows[row.kernel] if mine.model}
        if len(groups) < _ENOUGH_GROUPS:
            rows[row.kernel].append(replace(row, instructions=row.instructions + around))
    return {kernel: mine for kernel, mine in rows.items() if mine}


def wrapper(core: str, opt: str) -> int:
    """Instructions that TFLM spends around one CMSIS-NN kernel: the median over layers counted both ways."""
    alone = {_key(row): row.instructions for row in counted_kernels(core, "cmsis", opt)}
    around = [
        row.instructions - alone[_key(row)]
        for row in counted_operators(core, "cmsis")
        if row.kernel.startswith(("conv_s8", "dwconv_s8")) and _key(row) in alone
    ]
    return round(median(around))


def laws(core: str, kernels: str, rows: dict[str, list[Row]] | None = None) -> dict[str, Law]:
    """Kernel class → cost law, from `rows` (default: all that there are) and what is borrowed."""
    rows = training_rows(core, kernels) if rows is None else rows
    found = {
        kernel: replace(fit(mine), basis=_basis(mine), domain=_domain(kernel, mine))
        for kernel, mine in sorted(rows.items())
    }
    donor = _DONORS.get((core, kernels))
    if donor:
        for kernel, law in laws(*donor).items():
            if kernel not in found and _may_borrow(kernel, kernels, core):
                found[kernel] = replace(law, basis=law.basis if donor[0] == "rv32imc" else f"cortex-{donor[0]}")
    for kernel, law in rates(*(donor or (core, kernels))).items():
        found.setdefault(kernel, law)
    return dict(sorted(found.items()))


def rates(core: str, kernels: str) -> dict[str, Law]:
    """Laws of the operators of which only pooled rates were published: intercept + slope per output element."""
    executed = {row["op"] for row in table("tflm_instr_cortexm.csv")}
    found = {}
    for row in table("tflm_op_rates.csv"):
        if (row["core"], row["kernels"]) != (core, kernels) or row["op"] in executed or int(row["n_ops"]) < 4:
            continue
        if row["unit"] != "out_elem" or not row["fit_rel_rms"]:
            continue
        values = {"const": float(row["fit_intercept"]), "out_elems": float(row["fit_slope"])}
        error = float(row["fit_rel_rms"])
        if min(values.values()) <= 0:  # the line fits only the sizes seen: fall back to the rate, if it is one
            values = {"out_elems": float(row["rate_median"])}
            error = float(row["rate_p90"]) / float(row["rate_p10"]) - 1
        if error <= _POOLED_ERROR:
            name = row["op"].lower() if row["op"] in UNTYPED else f"{row['op'].lower()}_s8"
            found[name] = Law(values, int(row["n_ops"]), 0, (error,), "rates")
    return found


def _may_borrow(kernel: str, kernels: str, core: str) -> bool:
    if kernel.endswith("f32") or "_f32_" in kernel:
        return core == "m0plus"  # same core, same soft float; the Cortex-M4 counts are with its FPU
    if core == "rv32imc":  # its reference kernels are its own, the rest is Arm's count of the same C code
        return kernels == "espnn" or kernel == "softmax_s8" or not kernel.startswith((*_LIBRARY, "transpose_conv"))
    if kernels == "ref":
        return True
    if kernel.startswith(_COPIES) and core == "m0plus":
        return False
    return not kernel.startswith(_LIBRARY) and kernel not in _LIBRARY_EXACT


def _domain(kernel: str, rows: list[Row]) -> dict[str, tuple[float, float]]:
    """Ranges of the features where they must bound the law: nobody knows how the class behaves in other networks."""
    if not kernel.startswith(_COMPUTE) or len({row.group for row in rows}) > 1:
        return {}
    names = [name for name in rows[0].features if name in _SIZES]
    ranges = {name: [row.features[name] for row in rows] for name in names}
    return {name: (min(values), max(values)) for name, values in ranges.items() if min(values) > 0}


def _basis(rows: Iterable[Row]) -> str:
    kinds = {bool(row.model) for row in rows}
    return "operators and kernels" if len(kinds) == 2 else "operators" if True in kinds else "kernels"


def _key(row: Row) -> tuple[object, ...]:
    return row.kernel, tuple(sorted(row.features.items()))
