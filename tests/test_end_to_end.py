"""The command line on every file of the corpus, and the promises of its verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from mcuprof.cli import main
from mcuprof.document import json_schema
from tests.corpus import MODELS, model, needs_shared

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = sorted((ROOT / "samples").glob("*.tflite")) + sorted((ROOT / "samples").glob("*.onnx"))
CORPUS = sorted(path for path in MODELS.glob("*") if path.suffix in (".tflite", ".onnx")) if MODELS.is_dir() else []


@needs_shared
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_every_corpus_file_ends_in_a_verdict_or_one_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", str(path), "-d", "nucleo-l4r5zi", "--color", "never"])
    out, err = capsys.readouterr()
    assert code in (0, 1, 3)
    if code == 3:
        assert (out, err.count("\n")) == ("", 1)
        assert path.name in err
    else:
        assert 3 <= out.count("\n") <= 15
        assert out.startswith("FITS") == (code == 0)


@needs_shared
def test_vww_does_not_fit_96_kib_though_its_live_tensors_would(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(model("mlperf_vww_mbv1_int8").path)
    assert main(["check", path, "--ram", "96K", "-f", "json"]) == 1
    memory = json.loads(capsys.readouterr().out)["results"][0]["memory"]
    assert memory["peak"]["live_bytes"] < 96 * 1024 < memory["min_arena_bytes"]
    assert (memory["arena_bytes"], memory["head_bytes"]) == (100_660, 73_728)  # executed on Cortex-M4 (tflm.md §2)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_fit_their_board_and_follow_the_schema(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(path), "-d", "nucleo-l4r5zi", "-f", "json"]) == 0
    first = capsys.readouterr().out
    jsonschema.validate(json.loads(first), json_schema())
    assert main(["analyze", str(path), "-d", "nucleo-l4r5zi", "-f", "json"]) == 0
    assert capsys.readouterr().out == first


def test_the_document_has_the_promised_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Design of the report document, schema version 1."""
    assert main(["analyze", str(ROOT / "samples/resnet8_int8.tflite"), "-d", "nucleo-l4r5zi", "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    result = document["results"][0]
    assert set(document) == {"schema_version", "tool", "results"}
    promised = {"model", "target", "memory", "flash", "latency", "verdict"}
    assert set(result) == promised | {"arithmetic", "energy"}  # sections that version 1 adds where there is data
    assert set(result["model"]) == set("path sha256 format quantization bytes operators macs parameters".split())  # noqa: SIM905
    assert set(result["target"]) == {"device", "core", "clock_hz", "runtime", "kernels", "accelerator"}
    assert {"order", "in_place", "arena_bytes", "head_bytes", "tail_bytes", "min_arena_bytes"} <= set(result["memory"])
    assert {"stack_bytes", "lower_bound_bytes", "certificate", "peak", "regions", "plan"} <= set(result["memory"])
    assert set(result["flash"]) == {"total_bytes", "capacity_bytes", "items"}
    assert result["memory"]["arena_bytes"] == result["memory"]["head_bytes"] + result["memory"]["tail_bytes"]
    assert result["flash"]["items"][0]["name"] == "model"


def test_a_closed_pipe_and_a_narrow_terminal_are_no_errors() -> None:
    sample = ROOT / "samples" / "resnet8_int8.tflite"
    command = f"{sys.executable} -c 'from mcuprof.cli import main; raise SystemExit(main())' analyze {sample} | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"COLUMNS": "40", "NO_COLOR": "1", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
