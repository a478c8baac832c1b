"""ONNX models without their dead channels: ONNX Runtime gives the same values for both files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcuprof.cli import main
from mcuprof.errors import PlanError
from mcuprof.ops import total_macs
from mcuprof.ops.narrowing import Narrowing
from mcuprof.planning.onnx_proof import alike
from mcuprof.planning.pruning_onnx import prune_onnx
from mcuprof.progress import silent
from mcuprof.readers import read
from mcuprof.readers.onnx import read_onnx
from mcuprof.readers.onnx.load import parse
from mcuprof.rewrites.dead_channels_nchw import narrowing
from mcuprof.writers.onnx_narrow import Narrower
from mcuprof.writers.onnx_nodes import Nodes
from tests.corpus import model, needs_shared

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

SAMPLES = Path(__file__).parents[2] / "samples"


def network(seed: int, *, qdq: bool) -> bytes:
    """Made where onnx is there."""
    from tests.rewrites.onnx_dead_networks import dead_network

    return dead_network(seed, qdq=qdq)


def optimised(data: bytes) -> Any:
    """ONNX Runtime as users run it: fused, but with products that do not saturate."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])


@needs_shared
@pytest.mark.parametrize(("name", "floats"), [("drv_vww_qop_u8s8", False), ("drv_vww_qdq_s8_pc", True)])
def test_the_vww_models_lose_half_of_their_work(name: str, floats: bool) -> None:
    """At most 3.9 M MACs and 60 kB of weights, as of the .tflite model that these were made from."""
    path = Path(model(name).path)
    data = path.read_bytes()
    pruned, why = prune_onnx(read(path), data, floats=floats, inputs=2)
    assert pruned is not None and not why
    assert pruned.summary.macs[0] == 7_489_664 and total_macs(pruned.graph) <= 3_900_000
    assert pruned.summary.constant_bytes[1] <= 60_000 and len(pruned.data) < len(data)
    assert any("executed by ONNX Runtime: 2 inputs, 34 tensors" in step.text for step in pruned.steps)
    onnx.checker.check_model(onnx.ModelProto.FromString(pruned.data))
    before, after = optimised(data), optimised(pruned.data)
    (given,) = before.get_inputs()
    for seed in range(20):
        x = np.random.default_rng(seed).uniform(-1.2, 1.2, given.shape).astype(np.float32)
        (old,), (new,) = (session.run(None, {given.name: x}) for session in (before, after))
        assert old.tobytes() == new.tobytes()


@pytest.mark.parametrize("qdq", [False, True])
def test_random_networks_keep_every_value_that_is_left(qdq: bool) -> None:
    """`prune_onnx` raises where ONNX Runtime finds one that differs, in tensors that lost channels too."""
    lost = folded = 0
    for seed in range(25):
        data = network(seed, qdq=qdq)
        graph = read_onnx(data, "", {})
        pruned, why = prune_onnx(graph, data, floats=qdq, inputs=3)
        found = narrowing(graph, ())
        folded += any(gain.any() for gain in found.folded.values())
        if pruned is None:
            assert not why and not found.tensors
            continue
        lost += pruned.summary.channels[0] - pruned.summary.channels[1]
        assert any("executed by ONNX Runtime: 3 inputs" in step.text for step in pruned.steps)
        assert pruned.summary.activation_bytes[1] < pruned.summary.activation_bytes[0]
    assert lost >= 100 and (folded >= 5 or qdq)  # the networks are about what is tested


def test_a_constant_that_does_not_reach_the_bias_is_noticed() -> None:
    """The control: what the proof would say of a pass that forgets to fold."""
    for seed in range(25):
        data = network(seed, qdq=False)
        graph = read_onnx(data, "", {})
        found = narrowing(graph, ())
        if any(gain.any() for gain in found.folded.values()):
            wrong = Narrower(Nodes(parse(data), graph)).narrowed(Narrowing(found.tensors, {}))
            with pytest.raises(PlanError, match="differs"):
                alike((graph, data), (read_onnx(wrong, "", {}), wrong), silent, 3, found.tensors)
            return
    pytest.fail("no network folds anything")


def test_sums_of_floats_lose_channels_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = network(1, qdq=True)
    path, out = tmp_path / "qdq.onnx", tmp_path / "out.onnx"
    path.write_bytes(data)
    assert main(["plan", str(path), "-o", str(out)]) == 0
    assert "it sums floats" in " ".join(capsys.readouterr().out.split())
    assert total_macs(read(out)) == total_macs(read(path))
    assert main(["plan", str(path), "-o", str(out), "--prune-dead"]) == 0
    assert "equal on tested inputs" in " ".join(capsys.readouterr().out.split())
    assert total_macs(read(out)) < total_macs(read(path))


def test_integer_sums_lose_them_unless_told_not_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "qop.onnx", tmp_path / "out.onnx"
    path.write_bytes(network(1, qdq=False))
    assert main(["plan", str(path), "-o", str(out)]) == 0
    assert "every output equal (" in " ".join(capsys.readouterr().out.split())
    assert total_macs(read(out)) < total_macs(read(path))
    assert main(["plan", str(path), "-o", str(out), "--no-prune-dead"]) == 0
    assert "pruned" not in capsys.readouterr().out
    assert total_macs(read(out)) == total_macs(read(path))


def test_a_shape_that_a_node_reads_keeps_the_channels() -> None:
    """Shape of a tensor that would get narrower: its readers would get another number."""
    data = network(1, qdq=False)
    proto = onnx.ModelProto.FromString(data)
    cut = next(iter(narrowing(read_onnx(data, "", {}), ()).tensors))
    name = read_onnx(data, "", {}).tensors[cut].name
    proto.graph.node.append(onnx.helper.make_node("Shape", [name], ["shape"]))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("shape", onnx.TensorProto.INT64, [4]))
    with_shape = proto.SerializeToString()
    graph = read_onnx(with_shape, "", {})
    narrower = Narrower(Nodes(parse(with_shape), graph))
    producer = next(i for i, op in enumerate(graph.ops) if graph.tensors[op.outputs[0]].name == name)
    assert narrower.unable(producer)


def test_where_nothing_is_dead_nothing_is_pruned() -> None:
    for name in ("digits_qdq", "resnet8_qop"):
        path = SAMPLES / f"{name}.onnx"
        assert prune_onnx(read(path), path.read_bytes(), floats=True) == (None, "")
