"""Models without their dead channels: smaller, and equal in TFLM's own interpreter wherever a tensor is left."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcuprof.cli import main
from mcuprof.graph import Graph
from mcuprof.ops import total_macs
from mcuprof.planning import Firmware, Wishes, plan_pruned, prune_tflite
from mcuprof.readers import read
from mcuprof.rewrites.dead_channels import surviving_channels
from mcuprof.runner.inputs import random_inputs
from mcuprof.writers import carries_plan
from tests.corpus import model, needs_shared

SAMPLES = Path(__file__).parents[2] / "samples"
REFERENCE = Firmware("reference")
VWW = "mlperf_vww_mbv1_int8"


def load(path: Path) -> tuple[Graph, bytes]:
    return read(path), path.read_bytes()


@needs_shared
def test_the_reference_vww_model_loses_half_of_its_work() -> None:
    """At most 3.9 M of 7,489,664 MACs and 60 kB of 208,112 weights: notes on splitting, and the task that set them."""
    pytest.importorskip("tflite_micro")
    planned, pruned = plan_pruned(*load(model(VWW).path), REFERENCE, Wishes(in_place="none"), inputs=2)
    assert pruned is not None
    assert pruned.summary.macs[0] == 7_489_664 and total_macs(pruned.graph) <= 3_900_000
    assert pruned.summary.constant_bytes[1] <= 60_000
    assert all(step.executed for step in pruned.steps)
    assert planned.before.head_bytes == 73_728  # the file as it was, in TFLM
    assert planned.after.min_arena_bytes < planned.before.min_arena_bytes


@needs_shared
@pytest.mark.slow
def test_a_thousand_inputs_in_the_real_interpreter() -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    graph, data = load(model(VWW).path)
    pruned = prune_tflite(graph, data, REFERENCE, inputs=1)
    assert pruned is not None
    keep: Any = runtime.InterpreterConfig.kPreserveAllTensors
    before, after = (
        runtime.Interpreter.from_bytes(each, arena_size=4 << 20, intrepreter_config=keep)
        for each in (data, pruned.data)
    )
    masks = surviving_channels(graph)
    # The network keeps its operators, so the tensors of both files go in pairs.
    pairs = [
        (old.outputs[0], new.outputs[0], masks[old.outputs[0]])
        for old, new in zip(graph.ops, pruned.graph.ops, strict=True)
    ]
    outputs = set()
    for seed in range(1000):
        (given,) = random_inputs(graph, seed).values()
        for interpreter in (before, after):
            interpreter.set_input(given.copy(), 0)
            interpreter.invoke()
        for old, new, mask in pairs:
            expected = np.asarray(before.GetTensor(old, 0)["tensor_data"])[..., mask]
            assert np.array_equal(np.asarray(after.GetTensor(new, 0)["tensor_data"]), expected), (seed, old)
        assert np.array_equal(before.get_output(0), after.get_output(0))
        outputs.add(before.get_output(0).tobytes())
    assert len(outputs) > 1


@needs_shared
def test_files_packed_behind_the_model_are_not_lost() -> None:
    graph, data = load(model(VWW).path)
    packed = io.BytesIO(data)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("labels.txt", "person\n")
    assert prune_tflite(graph, packed.getvalue(), REFERENCE, inputs=1) is None


def test_where_nothing_is_dead_nothing_is_pruned() -> None:
    assert prune_tflite(*load(SAMPLES / "digits_int8.tflite"), REFERENCE, inputs=1) is None


@needs_shared
def test_the_command_prunes_unless_told_not_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pruned, kept = tmp_path / "pruned.tflite", tmp_path / "kept.tflite"
    path = str(model(VWW).path)
    assert main(["plan", path, "-o", str(pruned)]) == 0
    assert "7,489,664 -> " in capsys.readouterr().out and total_macs(read(pruned)) <= 3_900_000
    assert main(["plan", path, "-o", str(kept), "--no-prune-dead"]) == 0
    assert "pruned" not in capsys.readouterr().out
    assert total_macs(read(kept)) == 7_489_664 and carries_plan(read(pruned).origin.metadata)
    assert main(["plan", path, "-o", str(kept), "--prune-dead", "--emit", "json"]) == 2
