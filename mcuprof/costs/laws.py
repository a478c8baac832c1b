"""Instructions of one inference: cost laws fitted on counted kernels, one file per core and kernel set.

The laws are in `device_db/kernels/`; `tools/fit_kernels.py` writes them and the errors they make on models they had
not seen. Instructions are exact counts of executed instructions, so they know nothing of caches and wait states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

from mcuprof.costs.data import toml
from mcuprof.costs.features import features
from mcuprof.costs.kernels import Simd, kernel_class
from mcuprof.graph import ABSENT, Graph, Op
from mcuprof.ops import macs

# Cores that execute the same instructions for the same binary as the one that was counted.
_SAME_CODE = {
    "cortex-m0": "cortex-m0plus",  # both ARMv6-M
    "cortex-m85": "cortex-m55",  # both ARMv8.1-M with MVE
    "rv32imac": "rv32imc",  # atomic instructions occur in no kernel
}
# Whose counts stand in on cores without any.
_STAND_INS = {"esp-nn": "rv32imc"}
# Instructions per element of what was not counted, as of the elementwise integer operators that were (Cortex-M4).
_ROUGH_RATE = 30
# How far from the counted sizes a law of one network is still believed.
_REACH = 4


@dataclass(frozen=True, slots=True)
class NoData:
    """There is no number, and why: one sentence that can be printed after "no data: "."""

    reason: str


@dataclass(frozen=True, slots=True)
class Law:
    """Instructions = Σ coefficient · feature. `error`: median relative error on held-out rows, None if there were none.

    `domain` is the range of features that were counted, where the law came from one network only.
    """

    coefficients: Mapping[str, float]
    source: str
    error: float | None
    domain: Mapping[str, tuple[float, float]]

    def covers(self, of: Mapping[str, float]) -> bool:
        """True unless a feature is far from everything that was counted."""
        return all(low / _REACH <= of.get(name, 0.0) <= high * _REACH for name, (low, high) in self.domain.items())

    def instructions(self, of: Mapping[str, float]) -> float:
        """Instructions for these features; a feature the operator does not have counts as zero."""
        return sum(value * of.get(name, 0.0) for name, value in self.coefficients.items())


@dataclass(frozen=True, slots=True)
class LawBook:
    """All laws of one core and kernel set of TFLM. `median` and `worst` are errors of whole unseen models."""

    core: str
    kernels: str
    simd: Simd
    per_inference: float
    per_operator: float
    classes: Mapping[str, Law]
    median: float
    worst: float
    basis: str


@dataclass(frozen=True, slots=True)
class Count:
    """Instructions of one operator, interpreter's share included; None where its kernel class has no law."""

    kernel: str
    instructions: int | None
    basis: str


@cache
def law_book(core: str, kernels: str) -> LawBook | None:
    """The laws for this core id and kernel set; None where nothing was counted."""
    data = toml(f"kernels/{kernels}-{_SAME_CODE.get(core, core)}.toml")
    if data is None:
        return None
    classes = {
        name: Law(entry["coefficients"], entry["source"], entry.get("error_median"), entry.get("domain", {}))
        for name, entry in data["classes"].items()
    }
    overhead, checked = data["overhead"], data["validation"]
    return LawBook(
        data["core"],
        data["kernels"],
        cast(Simd, data["simd"]),
        overhead["per_inference"],
        overhead["per_operator"],
        classes,
        checked["median"],
        checked["worst"],
        checked["basis"],
    )


def standing_in(core: str, kernels: str) -> LawBook | None:
    """The laws that measure work on `core` when its own kernels were not counted: its own book, else Cortex-M4's."""
    return law_book(core, kernels) or law_book(_STAND_INS.get(kernels, "cortex-m4"), kernels)


def count(graph: Graph, op: Op, book: LawBook, *, rough: bool = False) -> Count:
    """Instructions of one operator, with the class that was matched and where its law comes from.

    `rough` is for books that stand in for another runtime's kernels: an operator without MACs that was not counted
    then costs a rate per element, instead of making the total unknown.
    """
    try:
        kernel = kernel_class(graph, op, book.kernels, book.simd)
        law = book.classes.get(kernel)
        if law is None and rough and not macs(graph, op):
            elements = sum(graph.tensors[index].elements for index in op.outputs if index != ABSENT)
            return Count(kernel, round(_ROUGH_RATE * elements + book.per_operator), "rough: a rate per element")
        if law is None:
            return Count(kernel, None, f"no data: {kernel} with {book.kernels} kernels was not counted on {book.core}")
        sizes = features(graph, op, kernel)
        if not law.covers(sizes):
            return Count(kernel, None, f"no data: {kernel} was counted in one network only, of other sizes")
        counted = law.instructions(sizes) + book.per_operator
    except (LookupError, ValueError) as error:
        return Count(op.kind.lower(), None, f"no data: {error}")
    band = f"±{law.error:.1%} held out" if law.error is not None else "nothing to hold out"
    return Count(kernel, round(counted), f"modelled ({band}): {law.source}")


def instructions(graph: Graph, core: str, kernels: str) -> int | NoData:
    """Instructions of one inference in steady state under TFLM; `core` is an id such as `cortex-m4`."""
    book = law_book(core, kernels)
    if book is None:
        return NoData(f"no instruction counts for {kernels} kernels on {core}")
    return total(graph, [count(graph, op, book) for op in graph.ops], book)


def total(graph: Graph, counts: list[Count], book: LawBook) -> int | NoData:
    """Sum of `counts` and the interpreter; NoData that names the operators without a law when there are any."""
    unknown = [
        f"{op.kind}: {one.basis.removeprefix('no data: ')}"
        for op, one in zip(graph.ops, counts, strict=True)
        if one.instructions is None
    ]
    if unknown:
        return NoData("; ".join(dict.fromkeys(unknown)))
    return round(book.per_inference) + sum(one.instructions or 0 for one in counts)
