"""The committed sample models: what the code builds, what every runtime takes, and what they were made to show."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tflite

from samples.build import build
from samples.layers import Array, Network, Softmax
from samples.networks import NETWORKS
from samples.simulate import forward

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
README = (SAMPLES / "README.md").read_text("utf-8")
ONNX = sorted(path.name for path in SAMPLES.glob("*.onnx"))
Int8 = npt.NDArray[np.int8]


@cache
def network(name: str) -> Network:
    if name == "digits":
        pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    return NETWORKS[name]()


def inputs(name: str) -> Array:
    return network(name).calibration[:4]


@cache
def simulated(name: str) -> dict[str, Array]:
    return forward(network(name), inputs(name))


def int8(x: npt.NDArray[Any], quantization: tuple[float, int]) -> Int8:
    scale, zero_point = quantization
    return np.asarray(np.clip(np.rint(x / scale) + zero_point, -128, 127), np.int8)


def litert(name: str) -> Any:
    runtime = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")
    interpreter = runtime.Interpreter(
        str(SAMPLES / f"{name}_int8.tflite"),
        experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    return interpreter


def invoke(interpreter: Any, image: Array) -> Int8:
    """Output for one float image from states of zero."""
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.reset_all_variables()
    interpreter.set_tensor(source["index"], int8(image, source["quantization"])[None])
    interpreter.invoke()
    output: Int8 = interpreter.get_tensor(target["index"])[0]
    return output


def onnx_session(file: str, optimize: bool = True) -> Callable[[Array], npt.NDArray[np.float32]]:
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    options = runtime.SessionOptions()
    if not optimize:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = runtime.InferenceSession(str(SAMPLES / file), options, providers=["CPUExecutionProvider"])

    def run(image: Array) -> npt.NDArray[np.float32]:
        channels_first = image.transpose(2, 0, 1) if image.ndim == 3 else image
        (output,) = session.run(None, {"input_float": channels_first[None].astype(np.float32)})
        result: npt.NDArray[np.float32] = output[0]
        return result

    return run


@pytest.mark.parametrize("name", NETWORKS)
def test_building_again_gives_the_committed_bytes(name: str) -> None:
    files = build(network(name))
    committed = {path.name: path.read_bytes() for path in SAMPLES.iterdir() if path.name in files}
    assert {file: len(content) for file, content in files.items()} == {x: len(y) for x, y in committed.items()}
    assert [file for file, content in files.items() if committed[file] != content] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_litert_computes_the_network_that_was_described(name: str) -> None:
    # Tensor by tensor, since a softmax hides errors; of its own input only differences count, so that one is left out.
    interpreter, expected = litert(name), simulated(name)
    logits = {layer.inputs[0] for layer in network(name).layers if isinstance(layer, Softmax)}
    layers = {layer.name for layer in network(name).layers} - logits
    tensors = [x for x in interpreter.get_tensor_details() if x["name"] in layers]
    assert len(tensors) == len(layers)
    errors: dict[str, list[float]] = {name: [] for name in layers}
    for i, image in enumerate(inputs(name)):
        invoke(interpreter, image)
        for tensor in tensors:
            scale, zero_point = tensor["quantization"]
            steps = interpreter.get_tensor(tensor["index"])[0] - expected[tensor["name"]][i] / scale - zero_point
            errors[tensor["name"]].append(float(np.abs(steps).mean()))
    assert max(np.mean(error) for error in errors.values()) < 4  # of 255


@pytest.mark.parametrize("name", NETWORKS)
def test_tflm_agrees_with_litert(name: str) -> None:
    # They round differently in FULLY_CONNECTED and in the LSTM (twice against once), so a few steps are expected.
    runtime = pytest.importorskip("tflite_micro", reason="TFLM is not installed").runtime
    micro, reference = runtime.Interpreter.from_file(str(SAMPLES / f"{name}_int8.tflite")), litert(name)
    quantization = reference.get_input_details()[0]["quantization"]
    for image in inputs(name):
        micro.reset()
        micro.set_input(int8(image, quantization)[None], 0)
        micro.invoke()
        assert np.abs(micro.get_output(0)[0].astype(int) - invoke(reference, image)).max() <= 4


@pytest.mark.parametrize("file", ONNX)
def test_onnx_runtime_agrees_with_litert(file: str) -> None:
    # Without fusion: on x86 without VNNI, fused int8 kernels saturate in 16 bits, a fault of that machine alone.
    name = file.rsplit("_", 1)[0]
    reference, session = litert(name), onnx_session(file, optimize=False)
    scale, zero_point = reference.get_output_details()[0]["quantization"]
    for image in inputs(name):
        expected = (invoke(reference, image).astype(int) - zero_point) * scale
        assert np.abs(session(image) - expected).max() <= 8 * scale


@pytest.mark.parametrize("file", ONNX)
def test_onnx_runtime_takes_the_file_as_users_run_it(file: str) -> None:
    name = file.rsplit("_", 1)[0]
    output = onnx_session(file)(inputs(name)[0])
    assert output.shape == simulated(name)[network(name).output].shape[1:]
    assert np.isfinite(output).all()


def test_every_network_is_there_in_every_format_that_has_its_operators() -> None:
    formats = {"_int8.tflite", "_qdq.onnx", "_qop.onnx"}
    expected = {f"{name}{ending}" for name in NETWORKS for ending in formats} - {"lstm_qdq.onnx", "lstm_qop.onnx"}
    files = [path for path in SAMPLES.iterdir() if path.suffix in {".tflite", ".onnx"}]
    assert {path.name for path in files} == expected
    assert sum(path.stat().st_size for path in files) < 3_000_000


@pytest.mark.parametrize("name", NETWORKS)
def test_constants_lie_where_microcontrollers_can_use_them_in_place(name: str) -> None:
    content = (SAMPLES / f"{name}_int8.tflite").read_bytes()
    start = np.frombuffer(content, np.uint8).ctypes.data
    model = tflite.Model.GetRootAs(content, 0)
    data = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength())]
    offsets = [x.ctypes.data - start for x in data if isinstance(x, np.ndarray)]
    assert len(offsets) > 2
    assert {offset % 16 for offset in offsets} == {0}  # force_align of Buffer.data in TFLite's schema


def test_digits_keep_their_accuracy_in_int8_on_images_never_trained_on() -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    from samples.digits import load

    data, interpreter, trained = load(), litert("digits"), network("digits")
    truth = data.test_labels
    in_float = forward(trained, data.test_images)[trained.output].argmax(axis=1)
    in_int8 = np.array([invoke(interpreter, image).argmax() for image in data.test_images])
    assert np.mean(in_float == truth) > 0.97
    assert np.mean(in_int8 == truth) > np.mean(in_float == truth) - 0.01
    assert f"{np.sum(in_int8 == truth)} of {len(truth)} held-out images right" in README
    for file in ("digits_qdq.onnx", "digits_qop.onnx"):
        session = onnx_session(file)
        in_onnx = np.array([session(image).argmax() for image in data.test_images])
        assert np.mean(in_onnx == in_int8) > 0.98


def test_a_better_operator_order_exists_for_inception() -> None:
    ops, sizes = _operators("inception")
    as_is, best = _peak(ops, sizes), _best_peak(ops, sizes)
    assert as_is > 1.5 * best
    assert f"keeps {as_is:,} B alive; the best keeps {best:,} B" in README


Operators = list[tuple[frozenset[int], int]]  # activations read, activation written


def _operators(name: str) -> tuple[Operators, dict[int, int]]:
    """The operators of a file and the bytes of each int8 activation by tensor index."""
    model = tflite.Model.GetRootAs((SAMPLES / f"{name}_int8.tflite").read_bytes(), 0)
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    sizes = {i: int(np.prod(x.ShapeAsNumpy())) for i, x in enumerate(tensors) if x.Buffer() == 0}
    rows = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    return [(frozenset(map(int, x.InputsAsNumpy())) & sizes.keys(), x.Outputs(0)) for x in rows], sizes


def _live(ops: Operators, sizes: dict[int, int], done: frozenset[int], op: int) -> int:
    """Bytes that must exist while `op` runs after the operators in `done`: read then or later, or just written."""
    waiting = [reads for i, (reads, _) in enumerate(ops) if i not in done]
    made = {0} | {ops[i][1] for i in done}  # tensor 0 is the model's input
    return sum(sizes[x] for x in made & frozenset().union(*waiting)) + sizes[ops[op][1]]


def _peak(ops: Operators, sizes: dict[int, int]) -> int:
    return max(_live(ops, sizes, frozenset(range(i)), i) for i in range(len(ops)))


def _best_peak(ops: Operators, sizes: dict[int, int]) -> int:
    """Smallest peak over all topological orders: the best way to reach each set of finished operators."""
    best: dict[frozenset[int], int] = {frozenset(): 0}
    for _ in ops:
        following: dict[frozenset[int], int] = {}
        for done, peak in best.items():
            made = {0} | {ops[i][1] for i in done}
            for i, (reads, _) in enumerate(ops):
                if i not in done and reads <= made:
                    reached = max(peak, _live(ops, sizes, done, i))
                    following[done | {i}] = min(reached, following.get(done | {i}, reached))
        best = following
    return best[frozenset(range(len(ops)))]


def test_readme_states_the_size_and_macs_of_every_file() -> None:
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in README.splitlines() if line.startswith("| `")]
    stated = {row[0].strip("`"): (row[2], row[3]) for row in cells}
    files = [path for path in SAMPLES.iterdir() if path.suffix in {".tflite", ".onnx"}]
    sizes = {path.name: f"{path.stat().st_size:,}" for path in files}
    assert {file: size for file, (_, size) in stated.items()} == sizes
    macs = {f"{name}_int8.tflite": f"{network(name).macs:,}" for name in NETWORKS}
    assert {file: count for file, (count, _) in stated.items() if file in macs} == macs
