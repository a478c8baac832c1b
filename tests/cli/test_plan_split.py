"""`mcuprof plan --split` and `mcuprof analyze --split` on real files."""

from __future__ import annotations

import json
import re
import zipfile
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest

from mcuprof.cli import main
from mcuprof.document import json_schema
from mcuprof.readers import read
from mcuprof.runtimes import tflm
from tests.corpus import model, needs_shared

SAMPLES = Path(__file__).parents[2] / "samples"
RESNET = SAMPLES / "resnet8_int8.tflite"
DS_CNN = SAMPLES / "ds_cnn_int8.tflite"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.tflite"


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int) -> str:
    """The one line on stderr with which a call fails."""
    assert main(["plan", *arguments, "--split"]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_a_split_within_a_work_limit_is_smaller_proven_and_as_large_as_said(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    assert main(["plan", str(RESNET), "-o", str(out), "--split", "--max-work", "10%"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "add AddConcatenation(), AddSlice()",
        "outputs equal on 20 inputs",
        "dead bytes poisoned",
        "operators",
    ):
        assert words in text
    size = re.search(r"kTensorArenaSize = (\d+)", text)
    work = re.search(r"stripes, ([+-][0-9.]+) % work", text)
    assert size is not None and work is not None and float(work[1]) <= 10
    before, after = (tflm.arena(read(path), library="reference", core=None) for path in (RESNET, out))
    assert after.min_arena_bytes == int(size[1]) < before.min_arena_bytes


def test_what_is_better_whole_stays_whole(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(DS_CNN), "-o", str(out), "--split"]) == 0
    assert "not split" in capsys.readouterr().out
    assert not any(op.kind == "SLICE" for op in read(out).ops)


def test_a_limit_that_nothing_reaches(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails([str(DS_CNN), "-o", str(out), "--max-ram", "8K"], capsys, 1)
    # Nothing is gained on this network, so what is reached is what TFLM takes today.
    today = tflm.arena(read(DS_CNN), library="reference", core=None).min_arena_bytes
    assert "nothing found fits 8,192 B" in message
    reached = re.search(r"the smallest arena is ([0-9,]+) B", message)
    assert reached is not None and 8_192 < int(reached[1].replace(",", "")) <= today
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-ram", "many"], "many"),
        (["--max-work", "5"], "not a percentage"),
        (["--emit", "json", "-o", "plan.json"], "neither --emit"),
        (["--share-arena"], "nor --share-arena"),
    ],
)
def test_requests_that_make_no_sense(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in fails([str(DS_CNN), *arguments], capsys, 2)


def test_limits_belong_to_a_split(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(DS_CNN), "--max-ram", "96K"]) == 2
    assert "add --split" in capsys.readouterr().err


@needs_shared
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("spacemit_ad_onnx", 3, "no operator can be run on rows of its input"),
        ("mlperf_ic_resnet8_fp32", 0, "not split"),
    ],
)
def test_models_that_cannot_be_split(
    name: str, code: int, words: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(model(name).path), "-o", str(out), "--split"]) == code
    captured = capsys.readouterr()
    assert words in captured.out + captured.err
    assert out.exists() == (code == 0)


def test_onnx_files_are_split_with_the_plan_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.onnx"
    assert main(["plan", str(SAMPLES / "resnet8_qdq.onnx"), "-o", str(out), "--split", "--max-ram", "32K"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    size = re.search(r"49,152 B -> ([0-9,]+) B", text)
    assert size is not None
    plan = json.loads((tmp_path / "out.onnx.plan.json").read_text())
    assert plan["arena_bytes"] == int(size[1].replace(",", "")) <= 32 * 1024
    assert len(read(out).ops) > len(read(SAMPLES / "resnet8_qdq.onnx").ops)


def test_an_onnx_limit_that_nothing_reaches_writes_nothing(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing found fits" in fails(
        [str(SAMPLES / "resnet8_qop.onnx"), "-o", str(out), "--max-ram", "4K"], capsys, 1
    )
    assert not out.exists()


def test_analyze_shows_the_front_of_onnx(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(SAMPLES / "resnet8_qop.onnx"), "--split"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Split (mcuprof plan --split)"))
    assert "49,152 B" in lines[start + 2] and "as it is" in lines[start + 2]


def test_analyze_shows_the_front(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(DS_CNN), "--split"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Split (mcuprof plan --split)"))
    assert "arena" in lines[start + 1] and "as it is" in lines[start + 2]


def test_the_document_holds_the_front_and_shows_it_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(RESNET), "--split", "-f", "json"]) == 0
    data = capsys.readouterr().out
    document = json.loads(data)
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    points = document["results"][0]["split"]["points"]
    today = tflm.arena(read(RESNET), library="reference", core=None).min_arena_bytes
    assert points[0]["arena_bytes"] <= today and points[0]["regions"] == []
    assert all(one["arena_bytes"] > other["arena_bytes"] for one, other in pairwise(points))
    assert all(one["work"] < other["work"] for one, other in pairwise(points))
    stored = tmp_path / "stored.json"
    stored.write_text(data)
    assert main(["report", str(stored)]) == 0
    assert f"{points[-1]['arena_bytes']:,} B" in capsys.readouterr().out


def test_without_asking_there_is_no_front(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(DS_CNN), "-f", "json"]) == 0
    assert "split" not in json.loads(capsys.readouterr().out)["results"][0]


@needs_shared
def test_what_cannot_be_split_is_analysed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(model("spacemit_ad_onnx").path), "--split"]) == 3
    captured = capsys.readouterr()
    assert "Model and target" in captured.out and "no operator can be run on rows of its input" in captured.err


def test_files_packed_behind_the_model_are_not_lost(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "packed.tflite"
    packed.write_bytes(RESNET.read_bytes())
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("labels.txt", "cat\n")
    assert "packed behind the model" in fails([str(packed), "-o", str(out)], capsys, 3)
    assert not out.exists()
