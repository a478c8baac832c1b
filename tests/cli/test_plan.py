"""`mcuprof plan` and `mcuprof ops` on real files."""

from __future__ import annotations

import errno
import json
import os
import re
import struct
import subprocess
from pathlib import Path

import pytest

from mcuprof.cli import main
from mcuprof.planning import orchestrate
from mcuprof.planning.proof import Step
from mcuprof.readers import read
from tests.corpus import model, needs_shared

SAMPLES = Path(__file__).parents[2] / "samples"
DIGITS = SAMPLES / "digits_int8.tflite"
INCEPTION = SAMPLES / "inception_int8.tflite"
REFERENCE = ["--assume-kernels", "reference"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.tflite"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the executions, which tests/planning has."""
    monkeypatch.setattr(orchestrate, "interpreted", lambda *given: Step("", True))
    monkeypatch.setattr(orchestrate, "executed", lambda *given: Step("", True))


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int) -> str:
    """The one line on stderr with which a call fails."""
    assert main(["plan", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_plan_and_strip(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(DIGITS), "-o", str(out), *REFERENCE]) == 0
    text = capsys.readouterr().out
    assert "head     640 B -> 528 B" in text and "executed in mcuprof's arena" in text
    assert "holds for reference" in " ".join(text.split())
    found = re.search(r"kTensorArenaSize = (\d+)", " ".join(text.split()))
    assert found is not None and int(found[1]) % 16 == 0
    first = out.read_bytes()
    assert first != DIGITS.read_bytes()
    assert main(["plan", str(DIGITS), "-o", str(out), *REFERENCE]) == 0
    assert out.read_bytes() == first

    back = out.with_name("back.tflite")
    assert main(["plan", str(out), "--strip", "-o", str(back)]) == 0
    assert back.read_bytes() == DIGITS.read_bytes()
    assert main(["plan", str(out), "--strip", "--in-place-file"]) == 0
    assert out.read_bytes() == DIGITS.read_bytes()
    assert list(out.parent.iterdir()) == [back, out] or set(out.parent.iterdir()) == {back, out}


def test_a_model_keeps_the_plan_it_carries_unless_forced(
    out: Path, hasty: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(INCEPTION), "-o", str(out), "--order", "as-is", *REFERENCE]) == 0
    again = out.with_name("again.tflite")
    capsys.readouterr()
    assert main(["plan", str(out), "-o", str(again), *REFERENCE]) == 0
    assert "kept as it is" in capsys.readouterr().out
    assert again.read_bytes() == out.read_bytes()
    assert main(["plan", str(out), "-o", str(again), "--force", *REFERENCE]) == 0
    direct = out.with_name("direct.tflite")
    assert main(["plan", str(INCEPTION), "-o", str(direct), *REFERENCE]) == 0
    assert again.read_bytes() == direct.read_bytes() != out.read_bytes()


def test_without_known_kernels_nothing_is_shared(out: Path, hasty: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(INCEPTION), "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert "no output overlaps an input" in text and "50,176 B" in text
    assert "add -d DEVICE or --assume-kernels" in fails([str(INCEPTION), "--in-place", "overlap"], capsys, 2)


def test_no_better_plan_gives_a_copy_and_says_so(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    autoencoder = SAMPLES / "autoencoder_int8.tflite"
    assert main(["plan", str(autoencoder), "-o", str(out), *REFERENCE]) == 0
    assert "TFLM's own plan is as good" in capsys.readouterr().out
    assert out.read_bytes() == autoencoder.read_bytes()


def test_what_is_refused_before_anything_is_read_or_written(
    out: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(DIGITS.read_bytes())
    link = tmp_path / "link.tflite"
    link.symlink_to(copy)
    for target in (copy, link):
        assert "--in-place-file" in fails([str(copy), "-o", str(target)], capsys, 2)
    assert copy.read_bytes() == DIGITS.read_bytes()
    assert "neither -o nor --emit" in fails([str(copy), "-o", str(out), "--in-place-file"], capsys, 2)
    assert "--share-arena" in fails([str(copy), str(DIGITS)], capsys, 2)
    assert "name the file to write" in fails([str(copy), "--strip"], capsys, 2)
    assert "need a directory" in fails([str(copy), str(DIGITS), "--share-arena", "-o", str(out)], capsys, 2)
    assert "the same name" in fails([str(DIGITS), str(DIGITS), "--share-arena", "-o", str(tmp_path)], capsys, 2)
    assert "no kernel library 'magic'" in fails([str(copy), "--assume-kernels", "magic"], capsys, 2)
    assert "damaged" in fails([str(damaged(tmp_path)), "-o", str(out), *REFERENCE], capsys, 3)
    assert not out.exists()


def damaged(folder: Path) -> Path:
    path = folder / "damaged.tflite"
    path.write_bytes(DIGITS.read_bytes()[:3000])
    return path


def test_a_failed_write_leaves_the_model(
    tmp_path: Path, hasty: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(DIGITS.read_bytes())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "no space left on device" in fails([str(copy), "--in-place-file", *REFERENCE], capsys, 2)
    assert copy.read_bytes() == DIGITS.read_bytes()
    assert list(tmp_path.iterdir()) == [copy]


def test_a_plan_that_does_not_stand_its_proof_is_not_written(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner is told that every kernel reads its whole input to the end: then any overlap is an error."""
    from mcuprof.ops.traversal import Order, reference_walk

    def greedy(graph: object, op: object, position: int) -> Order:
        order = reference_walk(graph, op, position)  # type: ignore[arg-type]
        return Order(order.written + (1 << 40))

    monkeypatch.setattr(orchestrate, "reference_walk", greedy)
    assert "while it still has to read" in fails([str(DIGITS), "-o", str(out), *REFERENCE], capsys, 1)
    assert not out.exists()


def test_emitted_plans(out: Path, hasty: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(INCEPTION), "-o", str(out), "--emit", "json", *REFERENCE]) == 0
    document = json.loads(out.read_text())
    graph = read(INCEPTION)
    assert document["arena_bytes"] == 44_048 and document["model"]["sha256"] == graph.origin.sha256
    assert sorted(document["order"]) == list(range(len(graph.ops)))
    assert max(tensor["offset"] + tensor["bytes"] for tensor in document["tensors"]) <= 44_048
    autoencoder = SAMPLES / "autoencoder_int8.tflite"  # TFLM's own plan is as good, but others may want one
    capsys.readouterr()
    assert main(["plan", str(autoencoder), "-o", str(out), "--emit", "json"]) == 0
    assert "(the plan, for other runtimes)" in " ".join(capsys.readouterr().out.split())
    assert json.loads(out.read_text())["arena_bytes"] == 768
    assert main(["plan", str(INCEPTION), "-o", str(out), "--emit", "c-header", *REFERENCE]) == 0
    source = out.read_text() + "int main(void) { return inception_int8_order[0] + inception_int8_offsets[0]; }\n"
    assert "#define INCEPTION_INT8_ARENA_BYTES 44048\n" in source
    try:
        compiled = subprocess.run(
            ["cc", "-x", "c", "-std=c99", "-Wall", "-Werror", "-Wno-unused", "-fsyntax-only", "-"],
            input=source.encode(),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return
    assert compiled.returncode == 0, compiled.stderr


def test_one_arena_for_several_models(tmp_path: Path, hasty: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(DIGITS), str(INCEPTION), "--share-arena", "-o", str(tmp_path), *REFERENCE]) == 0
    text = capsys.readouterr().out
    assert "one arena for 2 models" in text and "on one MicroAllocator" in text
    assert {path.name for path in tmp_path.iterdir()} == {DIGITS.name, INCEPTION.name}


def test_onnx_files_are_reordered_with_the_plan_beside(
    tmp_path: Path, hasty: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.onnx"
    assert main(["plan", str(SAMPLES / "inception_qdq.onnx"), "-o", str(out)]) == 0
    assert "50,176 B" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.onnx.plan.json").read_text())["arena_bytes"] == 50_176
    assert len(read(out).ops) == len(read(SAMPLES / "inception_qdq.onnx").ops)
    assert main(["plan", str(out), "--strip", "-o", str(tmp_path / "x")]) == 2


@needs_shared
@pytest.mark.parametrize(("name", "why"), [("esphome_v2_vad", "2 subgraphs"), ("mlonmcu_t_custom", "TFLM cannot run")])
def test_models_that_are_refused(name: str, why: str, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert why in fails([str(model(name).path), "-o", str(out), "-d", "nucleo-l4r5zi"], capsys, 3)


@needs_shared
def test_a_device_decides_which_kernels(out: Path, hasty: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Heads executed on emulated cores (overlap-safety notes, whole models, M4)."""
    for name, head in (("mlperf_ic_resnet8_int8", 33_872), ("mlperf_vww_mbv1_int8", 55_296)):
        assert main(["plan", str(model(name).path), "-o", str(out), "-d", "nucleo-l4r5zi"]) == 0
        assert f"-> {head:,} B" in capsys.readouterr().out
    content = read(out).origin.metadata["OfflineMemoryAllocation"]
    assert struct.unpack_from("<3i", content) == (1, 1, len(read(out).tensors))


def test_ops_lists_operators_and_writes_a_resolver(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops", str(INCEPTION)]) == 0
    text = capsys.readouterr().out
    assert "TFLM has all of them" in text and "tflite::MicroMutableOpResolver<7> resolver;" in text
    assert text.count("resolver.Add") == 7 and "resolver.AddMaxPool2D();" in text
    assert main(["ops", str(INCEPTION), "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {use["operator"]: use["count"] for use in document["operators"]} == {
        "CONV_2D": 15,
        "MAX_POOL_2D": 2,
        "CONCATENATION": 2,
        "AVERAGE_POOL_2D": 1,
        "RESHAPE": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }  # samples/README.md


@needs_shared
def test_ops_says_what_the_runtime_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops", str(model("mlonmcu_t_custom").path)]) == 0
    text = capsys.readouterr().out
    assert "TFLM refuses 2 of 2 kinds" in text
    assert 'resolver.AddCustom("Complex", Register_Complex());' in text
    assert main(["ops", str(model("himax_kwt1_vela").path)]) == 0
    text = capsys.readouterr().out
    assert "compiled for an Ethos-U" in " ".join(text.split()) and "resolver.AddEthosU();" in text
