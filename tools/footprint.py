"""Writes what linked TFLM firmwares say of flash and stack to `device_db/flash/` and `device_db/stack.toml`.

Run by tools/fit.py.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict

from tables import CORE_IDS, KERNELS, ROOT, SIMD, models, table

from mcuprof.costs.kernels import kernel_class

_BUILD = "core-Os,kernels-O2"
# Names in the resolver that are not the builtin name in camel case.
_KINDS = {
    "Conv2D": "CONV_2D",
    "DepthwiseConv2D": "DEPTHWISE_CONV_2D",
    "AveragePool2D": "AVERAGE_POOL_2D",
    "MaxPool2D": "MAX_POOL_2D",
    "UnidirectionalSequenceLSTM": "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "PadV2": "PADV2",
    "Relu6": "RELU6",
}


def kind(name: str) -> str:
    """`FullyConnected` → `FULLY_CONNECTED`."""
    return _KINDS.get(name) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def objects(core: str, kernels: str) -> list[tuple[str, str, int]]:
    """(operator, object file, bytes); operator "" is the firmware without any, object "tflm" the runtime core."""
    found: list[tuple[str, str, int]] = []
    base: dict[str, int] = defaultdict(int)
    for row in table("tflm_code_size_base.csv"):
        if (row["core"], row["kernels"], row["opt"]) == (core, kernels, "rel") and row["section"] != "bss":
            base[row["group"]] += int(row["bytes"])
    found += [("", "tflm", base["core"]), ("", "libc", base["libc"])]
    for row in table("tflm_op_code_size.csv"):
        if (row["core"], row["kernels"], row["opt"]) != (core, kernels, _BUILD) or "(" in row["op"]:
            continue
        found.append((kind(row["op"]), "tflm", int(row["tflm_core_bytes"])))
        for entry in row["objects"].split(";"):
            name, size = entry.rsplit("=", 1)
            found.append((kind(row["op"]), name, int(size)))
    return found


def write_flash() -> None:
    """One CSV per build that was linked."""
    folder = ROOT / "device_db" / "flash"
    folder.mkdir(parents=True, exist_ok=True)
    for core, kernels in (("m4", "ref"), ("m4", "cmsis"), ("m55", "cmsis")):
        path = folder / f"tflm-{KERNELS[kernels]}-{CORE_IDS[core]}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("operator", "object", "bytes"))
            writer.writerows(sorted(objects(core, kernels)))
    with (folder / "esp-nn-riscv.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("operator", "object", "bytes"))
        names = {"conv_s8": "CONV_2D", "dwconv_s8": "DEPTHWISE_CONV_2D", "softmax_s8": "SOFTMAX"}
        for row in table("code_size.csv"):
            library, _, function = row["kernel"].partition(":")
            wanted = (row["core"], row["opt"], library) == ("rv32imc", "O2", "esp_opt")
            if wanted and function in names:
                writer.writerow((names[function], f"esp-nn/{function}", row["text_bytes"]))


def stack_limits(core: str, kernels: str) -> dict[str, int]:
    """Kernel class → most stack bytes it can need: the least that any executed model with it needed."""
    found: dict[str, int] = {}
    rows = [row for row in table("tflm_totals_cortexm.csv") if (row["core"], row["kernels"]) == (core, kernels)]
    needs = {row["model"]: max(int(row["stack_alloc"]), int(row["stack_invoke"])) for row in rows}
    classes = {name: _classes(name, core, kernels) for name in needs}
    for name, need in needs.items():
        for one in classes[name]:
            found[one] = min(found.get(one, need), need)
    # Some rows need a little more than their classes explain (padding of frames): all limits carry that margin.
    margin = max(need - max(found[one] for one in classes[name]) for name, need in needs.items())
    found = {one: limit + margin for one, limit in found.items()}
    return dict(sorted(found.items()))


def _classes(name: str, core: str, kernels: str) -> set[str]:
    graph = models()[name]
    return {kernel_class(graph, op, KERNELS[kernels], SIMD[core]) for op in graph.ops}


def write_stack() -> None:
    """All limits in one TOML file."""
    lines = [
        "# Stack below main() of AllocateTensors and Invoke, per kernel class. Written by tools/footprint.py.",
        "# A model needs at most the largest of its classes: each limit is the least that any executed model with it",
        "# needed, plus what the rows need beyond that.",
        "# Source: painted stack of TFLM models executed on emulated cores (tflm_totals_cortexm.csv).",
    ]
    pairs = sorted({(row["core"], row["kernels"]) for row in table("tflm_totals_cortexm.csv")})
    for core, kernels in pairs:
        lines += ["", f'[{KERNELS[kernels]}."{CORE_IDS[core]}"]']
        lines += [f'"{one}" = {limit}' for one, limit in stack_limits(core, kernels).items()]
    (ROOT / "device_db" / "stack.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Write both."""
    write_flash()
    write_stack()
