"""The flash bill: the stored model, the runtime core, every kernel, helpers that kernels share, and the C library.

Sizes are those of TFLM firmwares linked with `--gc-sections` (core -Os, kernels -O2, CMSIS-NN -O2, error strings
stripped, newlib-nano, GCC 12.2; default kernel registrations, which link the code of every type). `device_db/flash/`
holds, per operator, the object files that a firmware with that operator alone pulls in. An object that several
operators of the model need is paid once, in its own line. Linked firmwares of seven models are met within 3 %
(`tests/costs/test_footprint.py`); on another core than the linked one the basis says which build stands in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from mcuprof.costs.data import rows
from mcuprof.costs.laws import NoData
from mcuprof.document import FlashItem
from mcuprof.graph import Graph
from mcuprof.hardware.device import Core

NOT_COUNTED = ("application", "RTOS", "drivers and startup code")
# Every operator's share of the runtime core contains this much that all operators share (parsing, allocation): found
# by comparing firmwares of one operator with firmwares of several.
_SHARED_CORE = 640
_LIBRARIES = ("libc", "libm", "libgcc", "libstdc")
# How kernels alone compare with their Cortex-M4 build (code_size.csv, all int8 kernels, -O3 and -O2).
_STAND_IN_NOTES = {
    "cortex-m0": "kernels alone: 0.74 (CMSIS-NN) to 1.30 (reference) times as large on ARMv6-M",
    "cortex-m0plus": "kernels alone: 0.74 (CMSIS-NN) to 1.30 (reference) times as large on Cortex-M0+",
    "cortex-m3": "kernels alone: 0.64 (CMSIS-NN) to 0.98 (reference) times as large on Cortex-M3",
    "cortex-m7": "kernels alone: 0.97 (reference) to 1.02 (CMSIS-NN) times as large on Cortex-M7",
    "cortex-m33": "kernels alone: 0.98 (reference) to 1.02 (CMSIS-NN) times as large on Cortex-M33",
    "riscv": "kernels alone: 1.06 times as large for rv32imc",
}


@dataclass(frozen=True, slots=True)
class FlashBill:
    """Lines of the bill, the operators whose code was never measured, and what no bill of ours counts."""

    items: tuple[FlashItem, ...]
    uncounted: tuple[str, ...]
    not_counted: tuple[str, ...] = NOT_COUNTED

    @property
    def total_bytes(self) -> int:
        """Sum of all lines; a lower bound while `uncounted` is not empty."""
        return sum(item.bytes for item in self.items)


def flash_bill(graph: Graph, *, core: Core, kernels: str, runtime: str) -> FlashBill | NoData:
    """What the model and the runtime that executes it take in flash. NoData where no such build was ever linked."""
    if runtime != "tflm":
        return NoData(f"code size is known for the runtime tflm, not for {runtime}")
    build = _build(core, kernels)
    if isinstance(build, NoData):
        return build
    name, basis = build
    table = _objects(name)
    kinds = tuple(dict.fromkeys(op.kind for part in (graph, *graph.subgraphs) for op in part.ops))
    counted = tuple(kind for kind in kinds if kind in table)
    items = [
        FlashItem("model", graph.origin.nbytes, "exact: stored file"),
        FlashItem("tflm core", _core_bytes(table, counted), basis),
        *_kernel_items(table, counted, basis),
        FlashItem("libc, libm, libgcc", _library_bytes(table, counted), basis),
    ]
    if kernels == "esp-nn":
        items += _espnn_items(counted)
    return FlashBill(tuple(items), tuple(kind for kind in kinds if kind not in table))


def _build(core: Core, kernels: str) -> tuple[str, str] | NoData:
    """The linked build that speaks for this core and kernel set, and the basis its lines get."""
    arm, riscv = core.id.startswith("cortex-m"), core.isa.startswith("rv32")
    if kernels == "cmsis-nn" and arm:
        donor = "cortex-m55" if core.mve else "cortex-m4"
    elif (kernels == "reference" and (arm or riscv)) or (kernels == "esp-nn" and riscv):
        donor = "cortex-m4"
    else:
        return NoData(f"no firmware with {kernels} kernels was linked for {core.name}")
    name = f"tflm-{'reference' if kernels == 'esp-nn' else kernels}-{donor}.csv"
    if core.id == donor:
        return name, f"measured: linked for {core.name}"
    note = _STAND_IN_NOTES.get("riscv" if riscv else core.id)
    stands_in = f"modelled: {donor.replace('cortex-m', 'Cortex-M')} build stands in"
    return name, f"{stands_in} ({note})" if note else stands_in


@cache
def _objects(name: str) -> Mapping[str, Mapping[str, int]]:
    """Operator kind → object → bytes; kind "" is the firmware without operators."""
    found: dict[str, dict[str, int]] = {}
    for row in rows(f"flash/{name}"):
        found.setdefault(row["operator"], {})[row["object"]] = int(row["bytes"])
    return found


def _core_bytes(table: Mapping[str, Mapping[str, int]], kinds: tuple[str, ...]) -> int:
    own = sum(max(0, table[kind].get("tflm", 0) - _SHARED_CORE) for kind in kinds)
    return table[""]["tflm"] + (_SHARED_CORE if kinds else 0) + own


def _is_library(name: str) -> bool:
    return name.startswith(_LIBRARIES)


def _merged(table: Mapping[str, Mapping[str, int]], kinds: tuple[str, ...]) -> dict[str, int]:
    """Object → bytes over all operators; where linking kept more of an object for one of them, that much."""
    found: dict[str, int] = {}
    for kind in kinds:
        for name, size in table[kind].items():
            if name != "tflm":
                found[name] = max(size, found.get(name, 0))
    return found


def _kernel_items(table: Mapping[str, Mapping[str, int]], kinds: tuple[str, ...], basis: str) -> list[FlashItem]:
    users: dict[str, list[str]] = {}
    for kind in kinds:
        for name in table[kind]:
            users.setdefault(name, []).append(kind)
    sizes = {name: size for name, size in _merged(table, kinds).items() if not _is_library(name)}
    items = [
        FlashItem(f"kernel {kind}", sum(size for name, size in sizes.items() if users[name] == [kind]), basis)
        for kind in kinds
    ]
    shared = sum(size for name, size in sizes.items() if len(users[name]) > 1)
    return [*items, FlashItem("shared by several kernels", shared, basis)] if shared else items


def _library_bytes(table: Mapping[str, Mapping[str, int]], kinds: tuple[str, ...]) -> int:
    return table[""]["libc"] + sum(size for name, size in _merged(table, kinds).items() if _is_library(name))


def _espnn_items(kinds: tuple[str, ...]) -> list[FlashItem]:
    """ESP-NN's own functions on top of the reference kernels that TFLM keeps beside them."""
    table = _objects("esp-nn-riscv.csv")
    basis = "measured: ESP-NN functions alone for rv32imc (no whole firmware was linked)"
    return [FlashItem(name, size, basis) for kind in kinds for name, size in table.get(kind, {}).items()]
