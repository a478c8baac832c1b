"""Inputs, sessions and verification: what users see, and what they get told when something is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mcuprof
from mcuprof.errors import ModelError, UsageError
from mcuprof.graph import DType, Graph
from mcuprof.runner import Session, run
from mcuprof.runner.compare import steps
from mcuprof.runner.inputs import checked, load_inputs, random_inputs
from mcuprof.runner.oracles import open_oracle
from mcuprof.runner.verify import verify
from tests.corpus import model, needs_shared
from tests.graphs import graph, op, tensor


def relu(kind: str = "RELU", dtype: DType = DType.INT8) -> Graph:
    """y = max(x, 0) with the same scale on both sides and zero point −10."""
    sides = [tensor(name, (1, 4), dtype, scale=(0.1,), zero_point=(-10,)) for name in ("x", "y")]
    return graph(sides, [op(kind, (0,), (1,))], (0,), (1,))


def test_run_takes_arrays_by_name_by_position_or_alone() -> None:
    x = np.array([[-128, -11, -10, 100]], np.int8)
    for given in ({"x": x}, [x], x):
        assert run(relu(), given).outputs["y"].tolist() == [[-10, -10, -10, 100]]
    assert mcuprof.run(relu(), x, keep="all").tensors[1].tolist() == [[-10, -10, -10, 100]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "input 'x' is missing"),
        ({"x": np.zeros((1, 4), np.int8), "z": np.zeros(1)}, "no input is named 'z'"),
        ({"x": np.zeros((1, 4), np.float32)}, "input 'x' must be int8, not float32"),
        ({"x": np.zeros((4, 4), np.int8)}, "input 'x' must be 1x4, not 4x4"),
        ([], "0 arrays for 1 inputs"),
    ],
)
def test_inputs_that_do_not_fit_get_one_line(given: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked(relu(), given)  # type: ignore[arg-type]


def test_not_a_number_is_refused() -> None:
    floats = graph([tensor("x", (2,), DType.FLOAT32)] * 2, [op("RELU", (0,), (1,))], (0,), (1,))
    with pytest.raises(UsageError, match="NaN or infinity"):
        checked(floats, np.array([1.0, np.nan], np.float32))


def test_inputs_from_files(tmp_path: Path) -> None:
    x = np.arange(8, dtype=np.int8).reshape(2, 4)
    np.save(tmp_path / "one.npy", x[:1])
    np.savez(tmp_path / "two.npz", x=x.reshape(2, 1, 4))
    (tmp_path / "three.bin").write_bytes(x.tobytes())
    assert [len(load_inputs(relu(), tmp_path / name)) for name in ("one.npy", "two.npz", "three.bin")] == [1, 2, 2]
    everything = load_inputs(relu(), tmp_path)
    assert [entry[0].reshape(-1).tolist() for entry in everything] == [[0, 1, 2, 3], *x.tolist(), *x.tolist()]


@pytest.mark.parametrize("name", ["absent.npy", "short.bin", "broken.npz", "empty"])
def test_input_files_that_cannot_be_read_get_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "short.bin").write_bytes(b"123")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        load_inputs(relu(), tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_operator_without_kernel_is_named_with_its_index() -> None:
    with pytest.raises(ModelError, match=r"operator 0 \(NOVELTY\) has no kernel: not executed by mcuprof"):
        Session(relu("NOVELTY"))
    found = verify(relu("NOVELTY"), seeds=(0,))
    assert found.missing == ((0, "NOVELTY", "not executed by mcuprof"),)
    assert not found.passed


def test_a_missing_scale_is_named() -> None:
    bare = relu()
    bare = replace(bare, tensors=tuple(replace(entry, quantization=None) for entry in bare.tensors))
    with pytest.raises(ModelError, match="tensor 'x' has no usable scale"):
        run(bare, np.zeros((1, 4), np.int8))


def test_differences_are_counted_in_steps() -> None:
    ours, theirs = np.array([1, 2, 3, -5], np.int8), np.array([1, 3, 2, 120], np.int8)
    assert steps(ours, theirs) == {-125: 1, -1: 1, 1: 1}
    unit = float(np.spacing(np.float32(8.0)))
    assert steps(np.array([8.0, 1.0 + unit], np.float32), np.array([8.0, 1.0], np.float32)) == {1: 1}


def test_expected_outputs_are_compared_and_max_lsb_forgives() -> None:
    given = random_inputs(relu(), 0)
    right = run(relu(), given[0]).tensors
    wrong = {1: right[1] - np.array([[0, 0, 0, 1]], np.int8)}
    assert verify(relu(), inputs=[given], expected=[right]).passed
    found = verify(relu(), inputs=[given], expected=[wrong])
    assert not found.passed
    assert found.first is not None
    assert (found.first.kind, found.first.histogram) == ("RELU", {1: 1})
    assert verify(relu(), inputs=[given], expected=[wrong], max_lsb=1).passed


def test_runtimes_that_cannot_judge_get_one_line() -> None:
    with pytest.raises(UsageError, match="no runtime is named 'tpu'"):
        open_oracle("tpu", relu())
    with pytest.raises(UsageError, match=r"runs .tflite files, and this model is memory"):
        open_oracle("tflm", relu())


@needs_shared
def test_state_survives_between_inferences_and_reset_forgets_it() -> None:
    session = Session(mcuprof.load(model("tflm_keyword_scrambled").path))
    given = random_inputs(session.graph, 3)
    first, second = (session.run_indexed(given).tensors for _ in range(2))
    session.reset()
    again = session.run_indexed(given).tensors
    assert all(np.array_equal(first[index], again[index]) for index in first)
    assert session.inferences == 1
    assert set(first) == set(second)


@needs_shared
def test_litert_rounds_dense_layers_once_and_the_report_says_so() -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    found = verify(mcuprof.load(model("mlperf_ad01_int8").path), seeds=(0, 1), against="litert")
    assert found.first is not None
    assert (found.first.kind, found.first.largest) == ("FULLY_CONNECTED", 1)
    assert "once" in found.explanation
