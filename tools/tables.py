"""The measurement tables that the fits are made from, joined with the models they were measured on.

They live beside the repository (`../shared`, or the directory in MCUPROF_SHARED): `data/*.csv` and `models/`.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mcuprof.costs.features import Features, dense_features, features, window_features
from mcuprof.costs.kernels import Simd, convolution_path, depthwise_path, esp_nn_path, kernel_class
from mcuprof.graph import ABSENT, DType, Graph, Op, Tensor
from mcuprof.ops.geometry import Window
from mcuprof.readers import read

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MCUPROF_SHARED") or ROOT.parent / "shared")
SIMD: Mapping[str, Simd] = {
    "m0plus": "none",
    "m3": "none",
    "m4": "dsp",
    "m7": "dsp",
    "m33": "dsp",
    "m55": "mve",
    "rv32imc": "none",
}
CORE_IDS = {core: core if core.startswith("rv") else f"cortex-{core}" for core in SIMD}
_SIZES = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kh", "kw", "stride")
KERNELS = {"ref": "reference", "cmsis": "cmsis-nn", "espnn": "esp-nn"}
# What each kernel set calls, first choice first: ESP-NN has generic C for what it did not optimise.
_IMPLEMENTATIONS = {"ref": ("ref",), "cmsis": ("cmsis",), "espnn": ("espnn_opt", "espnn_ansi")}


@dataclass(frozen=True, slots=True)
class Row:
    """One counted operator: `instructions` of kernel class `kernel` with these features, from `group` of models."""

    group: str
    model: str
    kernel: str
    features: Features
    instructions: int


def table(name: str) -> list[dict[str, str]]:
    """All rows of `data/<name>`."""
    with (SHARED / "data" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def models() -> Mapping[str, Graph]:
    """The counted models by name, found in the corpus by their SHA-256."""
    files: dict[str, str] = {}
    with (SHARED / "models" / "index.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            files.setdefault(row["sha256"], row["file"])
    wanted = {row["model"]: row["sha256"] for row in table("tflm_totals_cortexm.csv")}
    return {name: read(SHARED / "models" / files[sha]) for name, sha in sorted(wanted.items())}


@cache
def groups() -> Mapping[str, str]:
    """Model → name of its group. Models whose weighted layers are nearly the same must be held out together."""
    layers = {
        name: [
            (op.kind, graph.input(op).shape, graph.output(op).shape)
            for op in graph.ops
            if op.kind in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF"}
        ]
        for name, graph in models().items()
    }
    leader: dict[str, str] = {}
    for name, mine in layers.items():
        twins = (
            other
            for other in leader.values()
            if mine and sum(layer in layers[other] for layer in mine) > 0.6 * max(len(mine), len(layers[other]))
        )
        leader[name] = next(twins, name)
    return leader


def counted_operators(core: str, kernels: str) -> list[Row]:
    """Every operator executed on this emulated core, in steady state (from the second inference on)."""
    once = {
        row["model"]: int(row["instr_invoke"]) - int(row["instr_invoke_second"])
        for row in table("tflm_totals_cortexm.csv")
        if (row["core"], row["kernels"]) == (core, kernels) and row["instr_invoke_second"]
    }
    rows = []
    for row in table("tflm_instr_cortexm.csv"):
        if (row["core"], row["kernels"], row["depth"]) != (core, kernels, "0"):
            continue
        graph, name = models()[row["model"]], row["model"]
        op = graph.ops[int(row["op_index"])]
        count = int(row["instructions"])
        if op.kind == "CALL_ONCE":  # its subgraph ran in the first inference only
            count = int(row["instructions_inclusive"]) - once[name]
        kernel = kernel_class(graph, op, KERNELS[kernels], SIMD[core])
        rows.append(Row(groups()[name], name, kernel, features(graph, op, kernel), count))
    return rows


def counted_totals(core: str, kernels: str) -> dict[str, int]:
    """Model → instructions of one inference in steady state."""
    return {
        row["model"]: int(row["instr_invoke_second"] or row["instr_invoke"])
        for row in table("tflm_totals_cortexm.csv")
        if (row["core"], row["kernels"]) == (core, kernels)
    }


def counted_kernels(core: str, kernels: str, opt: str) -> Iterator[Row]:
    """Kernel functions counted alone (no runtime around them), newest version of the library."""
    rows = [row for row in table("instr_counts.csv") if row["core"] == core and row["opt"] == opt]
    functions: dict[str, str] = {}
    for wanted in _IMPLEMENTATIONS[kernels]:
        for row in rows:
            if row["impl"] == wanted:
                functions.setdefault(row["kernel"], wanted)
    for index, row in enumerate(rows):
        if functions.get(row["kernel"]) != row["impl"] or not row["instructions"]:
            continue
        if "v4.0.0" in row["libver"] or "DCHECK" in row["libver"]:
            continue
        found = _kernel_row(row, SIMD[core], kernels)
        if found:
            yield Row(f"kernel {index}", "", *found, int(row["instructions"]))


def _kernel_row(row: Mapping[str, str], simd: Simd, kernels: str) -> tuple[str, Features] | None:
    function = row["kernel"]
    in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, stride = (int(float(row[key] or 0)) for key in _SIZES)
    family = function.split("_")[0]
    if family in {"conv", "dwconv", "avgpool", "maxpool"}:
        same = row["same_pad"] == "1"
        top, bottom = _same(in_h, out_h, kernel_h, stride) if same else (0, 0)
        left, right = _same(in_w, out_w, kernel_w, stride) if same else (0, 0)
        groups_ = 1 if family == "conv" else in_c
        pads = (top, left, bottom, right)
        g = Window(1, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, stride, stride, 1, 1, *pads, groups_)
        path = ""
        if kernels == "cmsis" and family == "conv" and function != "conv_s16":
            path = convolution_path(g, simd)
            path = path.replace("1xn", "kxk") if function == "conv_s4" else path
        if kernels == "cmsis" and function == "dwconv_s8":
            path = depthwise_path(g, simd)
        if kernels == "espnn" and function in {"conv_s8", "dwconv_s8"}:
            path = esp_nn_path(g, depthwise=function == "dwconv_s8")
        return f"{function}{':' + path if path else ''}", window_features(g, depthwise=family != "conv")
    if family == "fc":
        return (function, dense_features(1, in_c, out_c)) if function != "fc_vector_sum" else None
    if family in {"add", "mul"}:
        elements = int(row["out_elems"])
        return function, {"const": 1, "out_elems": elements, "in_elems": elements, "bytes": elements, "out_rows": 0}
    if family == "softmax":
        elements, rows = int(row["out_elems"]), int(float(row["in_h"] or 1))
        return function, {"const": 1, "out_elems": elements, "in_elems": elements, "bytes": elements, "out_rows": rows}
    return None


def _same(size: int, out: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max(0, (out - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def layer_graph(key: str) -> Graph | None:
    """The network of `data/layers.jsonl` with this key, shapes and types only; None when it is not there."""
    layers = _layer_tables().get(key)
    if layers is None:
        return None
    tensors: list[Tensor] = []
    ops: list[Op] = []
    for layer in layers:
        given = [item for item in layer["inputs"] if item]
        before = len(tensors)
        tensors += [_tensor(item) for item in given]
        middle = len(tensors)
        tensors += [_tensor(item) for item in layer["outputs"]]
        places = iter(range(before, middle))
        inputs = tuple(next(places) if item else ABSENT for item in layer["inputs"])
        ops.append(Op(layer["op"], inputs, tuple(range(middle, len(tensors))), _attributes(layer)))
    return Graph(key, tuple(tensors), tuple(ops), (), ())


@cache
def _layer_tables() -> Mapping[str, list[dict[str, Any]]]:
    with (SHARED / "data" / "layers.jsonl").open(encoding="utf-8") as file:
        return {entry["key"]: entry["layers"] for entry in map(json.loads, file)}


def _tensor(item: Mapping[str, Any]) -> Tensor:
    data = memoryview(b"") if item["const"] else None
    return Tensor("", tuple(item["shape"]), DType[item["type"]], data=data)


def _attributes(layer: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {key: layer[key] for key in ("padding", "activation", "axis") if key in layer}
    for key, names in (("stride", "stride"), ("dilation", "dilation"), ("filter", "filter")):
        if key in layer:
            found[f"{names}_h"], found[f"{names}_w"] = layer[key]
    return found
