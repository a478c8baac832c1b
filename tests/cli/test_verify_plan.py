"""`mcuprof verify --plan`: plans as `mcuprof plan` and `analyze` write them, and files that are none of this model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcuprof import load, memory
from mcuprof.cli import main
from mcuprof.memory.effort import Limit
from mcuprof.runtimes.tflm.overlap import rules
from mcuprof.writers.header import c_header
from mcuprof.writers.listing import plan_json
from mcuprof.writers.tflite import ONLINE, FilePlan, with_plan

Capture = pytest.CaptureFixture[str]
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
RESNET = str(SAMPLES / "resnet8_int8.tflite")
INCEPTION = str(SAMPLES / "inception_int8.tflite")
DIGITS = str(SAMPLES / "digits_int8.tflite")
ONNX = str(SAMPLES / "resnet8_qop.onnx")


def written(tmp_path: Path, model: str, strategy: str = "none", library: str = "") -> str:
    """A plan as JSON, in the form of `mcuprof plan --emit json`, whose proofs would take longer than these tests."""
    out, graph = tmp_path / "plan.json", load(model)
    allowed = rules(library or "reference", None)
    plan = memory.plan(graph, "optimal", strategy, sharing=allowed, limit=Limit(2.0))
    out.write_text(plan_json(graph, plan, Path(model).name, allowed.name if library else ""))
    return str(out)


def swapped(model: str) -> tuple[int, ...]:
    """File order with the first two neighbours exchanged that do not need one another."""
    ops = load(model).ops
    order = list(range(len(ops)))
    number = next(n for n in order[:-1] if not set(ops[n].outputs) & set(ops[n + 1].inputs))
    order[number], order[number + 1] = order[number + 1], order[number]
    return tuple(order)


def verify(model: str, plan: str, *options: str) -> int:
    return main(["verify", model, "--plan", plan, "--count", "1", *options])


@pytest.mark.parametrize(
    ("strategy", "library"), [("none", ""), ("overlap", "reference"), ("overlap", "cmsis-nn"), ("overlap", "esp-nn")]
)
def test_plan_json_is_executed(strategy: str, library: str, tmp_path: Path, capsys: Capture) -> None:
    plan = written(tmp_path, INCEPTION, strategy, library)
    assert verify(INCEPTION, plan, "-f", "json") == 0
    assert json.loads(capsys.readouterr().out)["plan"]["executed"]


def test_what_the_plan_command_writes_is_executed(tmp_path: Path) -> None:
    plan, planned, header = (str(tmp_path / name) for name in ("plan.json", "planned.tflite", "plan.h"))
    assert main(["plan", DIGITS, "-o", plan, "--emit", "json"]) == 0
    assert main(["plan", DIGITS, "-o", header, "--emit", "c-header", "--assume-kernels", "cmsis-nn"]) == 0
    assert verify(DIGITS, header) == 0
    assert main(["plan", DIGITS, "-o", planned]) == 0
    assert verify(DIGITS, plan) == 0
    assert verify(DIGITS, planned) == 0


def test_an_onnx_plan_is_executed(tmp_path: Path) -> None:
    assert verify(ONNX, written(tmp_path, ONNX)) == 0


def test_a_planned_file_is_the_plan_of_both_files(tmp_path: Path) -> None:
    """The two files number their operators differently."""
    data, out = Path(INCEPTION).read_bytes(), tmp_path / "planned.tflite"
    order = memory.plan(load(INCEPTION), "optimal", "none").order
    order = order if order != tuple(sorted(order)) else swapped(INCEPTION)
    out.write_bytes(with_plan(data, FilePlan(order, (ONLINE,) * len(load(INCEPTION).tensors))))
    assert [op.outputs for op in load(out).ops] == [load(INCEPTION).ops[number].outputs for number in order]
    assert order != tuple(sorted(order))
    assert verify(INCEPTION, str(out)) == 0
    assert verify(str(out), str(out)) == 0


def test_the_plan_of_a_report_is_executed(tmp_path: Path, capsys: Capture) -> None:
    report = tmp_path / "report.json"
    assert main(["analyze", RESNET, "-f", "json", "-o", str(report)]) == 0
    assert verify(RESNET, str(report)) == 0
    both = ["analyze", RESNET, "-f", "json", "-o", str(report), "-d", "nucleo-l4r5zi", "-d", "esp32-s3-eye"]
    main(both)
    capsys.readouterr()
    assert verify(RESNET, str(report)) == 2
    assert "choose one with -d" in capsys.readouterr().err
    assert verify(RESNET, str(report), "-d", "nucleo-l4r5zi") == 0


def test_the_plan_of_a_report_in_another_order_is_executed(tmp_path: Path, capsys: Capture) -> None:
    report = tmp_path / "report.json"
    cortex = ("-d", "nucleo-l4r5zi", "--in-place", "overlap")
    assert main(["analyze", INCEPTION, "-f", "json", "-o", str(report), "--order", "optimal", *cortex]) == 0
    document = json.loads(report.read_text())
    placed, ops = document["results"][0]["memory"], load(INCEPTION).ops
    assert placed["operator_order"] != sorted(placed["operator_order"])
    owners = [row["tensor"].split(maxsplit=4)[3:] for row in placed["plan"] if row["tensor"].startswith("scratch")]
    assert owners and all(kind == f"({ops[int(number)].kind})" for number, kind in owners)
    assert verify(INCEPTION, str(report)) == 0
    placed["operator_order"].reverse()
    report.write_text(json.dumps(document))
    assert verify(INCEPTION, str(report)) == 1
    del placed["operator_order"]
    report.write_text(json.dumps(document))
    capsys.readouterr()
    assert verify(INCEPTION, str(report)) == 2
    assert "in which order" in capsys.readouterr().err


@pytest.mark.parametrize("library", ["reference", "cmsis-nn"])
def test_a_c_header_is_executed(library: str, tmp_path: Path, capsys: Capture) -> None:
    header, graph, sharing = tmp_path / "plan.h", load(RESNET), rules(library, None)
    plan = memory.plan(graph, "optimal", "overlap", sharing=sharing)
    text = c_header(graph, plan, Path(RESNET).name, sharing.name)
    header.write_text(text)
    assert verify(RESNET, str(header)) == 0
    # A header of the reference's plan is none for CMSIS-NN, which gathers several pixels before it writes.
    assert verify(RESNET, str(header), "--assume-kernels", "cmsis-nn") == (library == "reference")


def damaged(text: str, how: str) -> str:
    lines = text.split("\n")
    offsets = next(number for number, line in enumerate(lines) if "_offsets[" in line) + 1
    others = ", ".join(lines[offsets].strip().split(", ")[1:])
    changes = {
        "cut": text[: len(text) // 2],
        "comment": text.replace("// Index of", "// index of"),
        "other": text.replace(load(RESNET).origin.sha256, "0" * 64),
        "unknown": text.replace(load(RESNET).origin.sha256, "unknown"),
        "order": text.replace("    0, 1, 2,", "    0, 1, 1,"),
        "beyond": text.replace(lines[offsets], f"    {10**9}, {others}"),
        "below": text.replace(lines[offsets], f"    -16, {others}"),
        "absent": text.replace(lines[offsets], f"    -1, {others}"),
        "sharing": text.replace("sharing: none", "sharing: everything"),
        "huge": text.replace("_ARENA_BYTES ", "_ARENA_BYTES 9999"),
        "another header": "// Memory plan of somebody else\n#define ARENA 1\n",
        "any header": "#pragma once\n#define ARENA 1\n",
    }
    return changes[how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "is not a header that mcuprof wrote"),
        ("comment", "line 11 has been changed"),
        ("other", "of another model"),
        ("unknown", "of another model"),
        ("order", "every operator exactly once"),
        ("beyond", "a broken plan: bytes"),
        ("below", "a broken plan: bytes"),
        ("absent", "no place for tensor"),
        ("sharing", "no in-place strategy 'everything'"),
        ("huge", "cannot be executed"),
        ("another header", "name no model and kernels"),
        ("any header", "holds no plan"),
    ],
)
def test_a_damaged_header_is_one_line(how: str, message: str, tmp_path: Path, capsys: Capture) -> None:
    header, graph = tmp_path / "plan.h", load(RESNET)
    text = c_header(graph, memory.plan(graph, "as-is", "none"), "resnet8_int8.tflite", "")
    assert damaged(text, how) != text
    header.write_text(damaged(text, how))
    assert verify(RESNET, str(header)) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_a_header_with_a_tensor_on_a_live_one_fails(tmp_path: Path, capsys: Capture) -> None:
    header, graph = tmp_path / "plan.h", load(RESNET)
    plan = memory.plan(graph, "as-is", "none")
    first, second = graph.ops[0].outputs[0], graph.ops[1].outputs[0]
    offsets = tuple(plan.offsets[first] if tensor == second else at for tensor, at in enumerate(plan.offsets))
    header.write_text(c_header(graph, replace(plan, offsets=offsets), "resnet8", ""))
    assert verify(RESNET, str(header)) == 1
    assert f"tensor {graph.tensors[first].name!r}" in " ".join(capsys.readouterr().out.split())


def test_a_tensor_moved_onto_a_live_one_fails(tmp_path: Path, capsys: Capture) -> None:
    plan = written(tmp_path, RESNET)
    document = json.loads(Path(plan).read_text())
    skipped = next(row for row in document["tensors"] if row["last"] - row["first"] > 2)
    inside = next(
        row for row in document["tensors"] if skipped["first"] < row["first"] and row["last"] < skipped["last"]
    )
    inside["offset"] = skipped["offset"]
    Path(plan).write_text(json.dumps(document))
    capsys.readouterr()
    assert verify(RESNET, plan) == 1
    assert f"tensor {skipped['name']!r}" in " ".join(capsys.readouterr().out.split())


def test_a_plan_for_kernels_that_read_in_another_order_fails(tmp_path: Path, capsys: Capture) -> None:
    """CMSIS-NN's convolution gathers several pixels before it writes: the reference's distance is too short for it."""
    plan = written(tmp_path, RESNET, "overlap", "reference")
    assert verify(RESNET, plan) == 0
    assert verify(RESNET, plan, "--assume-kernels", "cmsis-nn") == 1


def broken(document: dict[str, Any], how: str) -> str:
    if how == "order":
        document["order"][0] = document["order"][1]
    elif how == "absent":
        del document["tensors"][1]
    elif how == "beyond":
        document["tensors"][1]["offset"] = document["arena_bytes"]
    elif how == "below":
        document["tensors"][1]["offset"] = -16
    elif how == "huge":
        document["arena_bytes"] = 2**40
    elif how == "index":
        document["tensors"][1]["index"] = 10**6
    elif how == "name":
        document["tensors"][1]["name"] = "another"
    elif how == "type":
        document["tensors"][1]["offset"] = "0"
    elif how == "version":
        document["schema_version"] = 99
    elif how == "other":
        document["model"]["sha256"] = "0" * 64
    text = json.dumps(document)
    return {"cut": text[:-20], "list": "[1]", "nested": "{" * 9, "empty": ""}.get(how, text)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("order", "every operator exactly once"),
        ("absent", "no place for tensor"),
        ("beyond", "a broken plan: bytes"),
        ("below", "a broken plan: bytes"),
        ("huge", "cannot be executed"),
        ("index", "does not exist"),
        ("name", "a broken plan: tensor"),
        ("type", "not a plan that mcuprof wrote"),
        ("version", "version 99"),
        ("other", "of another model"),
        ("cut", "not a plan that mcuprof wrote"),
        ("list", "holds no plan"),
        ("nested", "not a plan that mcuprof wrote"),
        ("empty", "holds no plan"),
    ],
)
def test_a_broken_plan_is_one_line(how: str, message: str, tmp_path: Path, capsys: Capture) -> None:
    plan = Path(written(tmp_path, RESNET))
    plan.write_text(broken(json.loads(plan.read_text()), how))
    capsys.readouterr()
    assert verify(RESNET, str(plan)) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--plan", RESNET), "of another model"),
        (("--plan", "nowhere.json"), "no such file"),
        (("--plan", RESNET, "--order", "as-is"), "neither --order nor --in-place"),
        (("-d", "nucleo-l4r5zi"), "they go with --plan"),
        (("--jobs", "0"), "--jobs"),
        (("--reference", "nowhere.tflite"), "no such file"),
    ],
)
def test_options_that_make_no_sense(options: tuple[str, ...], message: str, capsys: Capture) -> None:
    assert main(["verify", INCEPTION, "--count", "1", *options]) in (2, 3)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
