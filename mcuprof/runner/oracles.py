"""Other runtimes that judge our outputs. All are optional; each is imported when it is asked for.

Every oracle keeps all tensors, so that intermediate ones can be compared, and is set up in the configuration whose
arithmetic is exact: a classifier's softmax hides errors that the tensors before it show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mcuprof.errors import McuprofError, ModelError, UsageError
from mcuprof.graph import DType, Graph
from mcuprof.ops.kernel import Array
from mcuprof.runner.isolation import Isolated

ARENA_BYTES = 256 * 1024 * 1024
_PACKAGES = {
    "tflm": ("tflite-micro", "tflite_micro.python.tflite_micro.runtime"),
    "litert": ("ai-edge-litert", "ai_edge_litert.interpreter"),
    "onnxruntime": ("onnxruntime", "onnxruntime"),
}


class Oracle(Protocol):
    """A runtime with a model loaded. `run` gives tensors by index in the graph; state lasts until `reset`."""

    def run(self, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """One inference."""

    def reset(self) -> None:
        """Forgets all state."""


def open_oracle(name: str, graph: Graph) -> Oracle:
    """The runtime `tflm`, `litert` or `onnxruntime` with the graph's file loaded.

    Raises UsageError where the package is not installed, cannot run this format, or refuses the model.
    """
    if name not in _PACKAGES:
        raise UsageError(f"no runtime is named {name!r} (there are {', '.join(_PACKAGES)})")
    wanted = "onnx" if name == "onnxruntime" else "tflite"
    if graph.origin.format != wanted:
        raise UsageError(f"{name} runs .{wanted} files, and this model is {graph.origin.format}")
    package, module = _PACKAGES[name]
    try:
        runtime = import_module(module)
    except ImportError:
        raise UsageError(f"{name} is not installed: pip install {package}") from None
    try:
        return _Remote(name, lambda: _OPENERS[name](runtime, graph))
    except McuprofError:
        raise
    except Exception as error:  # whatever a foreign runtime raises for a model it refuses
        raise UsageError(
            f"{name} refuses the model: {(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error


class _Remote:
    """An oracle in a process of its own. Raises ModelError where it fails while it runs."""

    def __init__(self, name: str, make: Callable[[], Oracle]) -> None:
        self.name, self.oracle = name, Isolated(name, make)

    def reset(self) -> None:
        """Forgets all state."""
        self.oracle.call("reset")

    def run(self, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """One inference."""
        try:
            found: dict[int, Array] = self.oracle.call("run", inputs)
        except McuprofError:
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{self.name} cannot run the model: {reason}") from error
        return found


class _Tflm:
    """tflite-micro's interpreter, keeping all tensors."""

    def __init__(self, runtime: Any, graph: Graph) -> None:
        self.graph, self.runtime, self.data = graph, runtime, Path(graph.origin.path).read_bytes()
        self.reset()

    def reset(self) -> None:
        """A new interpreter: the only way that resets resource variables too."""
        config = self.runtime.InterpreterConfig.kPreserveAllTensors
        self.interpreter = self.runtime.Interpreter.from_bytes(
            self.data, arena_size=ARENA_BYTES, intrepreter_config=config
        )

    def run(self, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """One inference; tensors without elements or of types without NumPy counterpart are left out."""
        for position, tensor in enumerate(self.graph.inputs):
            self.interpreter.set_input(inputs[tensor].copy(), position)
        self.interpreter.invoke()
        found = {}
        for tensor in self.graph.producer:
            spec = self.graph.tensors[tensor]
            if spec.elements and spec.dtype.bits:
                content = np.asarray(self.interpreter.GetTensor(tensor, 0)["tensor_data"])
                if content.size == spec.elements:
                    found[tensor] = content.reshape(spec.shape)
        return found


class _LiteRt:
    """LiteRT with reference kernels: the built-in ones round otherwise."""

    def __init__(self, runtime: Any, graph: Graph) -> None:
        self.graph = graph
        self.interpreter = runtime.Interpreter(
            model_path=graph.origin.path,
            experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
            num_threads=1,
        )
        self.interpreter.allocate_tensors()

    def reset(self) -> None:
        """Resets variable tensors."""
        self.interpreter.reset_all_variables()

    def run(self, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """One inference; tensors that the interpreter does not give out are left out."""
        for tensor, value in inputs.items():
            self.interpreter.set_tensor(tensor, value)
        self.interpreter.invoke()
        found = {}
        for tensor in self.graph.producer:
            try:
                found[tensor] = np.asarray(self.interpreter.get_tensor(tensor))
            except (ValueError, TypeError):
                continue
        return found


class _OnnxRuntime:
    """ONNX Runtime on the CPU, in the configuration that is exact for the model.

    Products of u8 activations with s8 weights saturate on x86 processors without VNNI, in integer operators; the
    optimiser turns them to u8 × u8 when `session.x64quantprecision` is set. QDQ models are run as they stand, in float.
    """

    def __init__(self, runtime: Any, graph: Graph) -> None:
        import onnx

        self.graph = graph
        model = onnx.load(graph.origin.path)
        made = {name for node in model.graph.node for name in node.output}
        present = {output.name for output in model.graph.output}
        self.tensors = {
            tensor: graph.tensors[tensor].name for tensor in graph.producer if graph.tensors[tensor].name in made
        }
        for name in dict.fromkeys(self.tensors.values()):
            if name not in present:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
        options = runtime.SessionOptions()
        level = runtime.GraphOptimizationLevel
        integer = any(node.op_type.startswith("QLinear") or node.op_type in _INTEGER for node in model.graph.node)
        unsigned = integer and _mixes_signs(graph)
        if unsigned:
            _unshare(model)
        options.graph_optimization_level = level.ORT_ENABLE_EXTENDED if unsigned else level.ORT_DISABLE_ALL
        options.add_session_config_entry("session.x64quantprecision", "1")
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = runtime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    def reset(self) -> None:
        """ONNX models keep no state."""

    def run(self, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """One inference."""
        feeds = {self.graph.tensors[tensor].name: value for tensor, value in inputs.items()}
        names = list(dict.fromkeys(self.tensors.values()))
        by_name = dict(zip(names, self.session.run(names, feeds), strict=True))
        return {tensor: np.asarray(by_name[name]) for tensor, name in self.tensors.items()}


_INTEGER = ("ConvInteger", "MatMulInteger", "DynamicQuantizeLSTM")


def _unshare(model: Any) -> None:
    """Gives each integer operator weights of its own: that optimiser cannot turn the same ones twice."""
    content = {proto.name: proto for proto in model.graph.initializer}
    seen: set[str] = set()
    for node in model.graph.node:
        if not (node.op_type.startswith("QLinear") or node.op_type in (*_INTEGER, "QGemm")):
            continue
        for position, name in enumerate(node.input):
            if name in seen and name in content:
                copy = model.graph.initializer.add()
                copy.CopyFrom(content[name])
                copy.name = f"{name}/{len(model.graph.initializer)}"
                node.input[position] = copy.name
            seen.add(name)


def _mixes_signs(graph: Graph) -> bool:
    """True when an operator multiplies uint8 activations with int8 weights; an LSTM makes its floats uint8."""
    triples = [(op, graph.tensor(op, 0), graph.tensor(op, 1)) for op in graph.ops]
    return any(
        x and w and w.dtype is DType.INT8 and (x.dtype is DType.UINT8 or op.source.endswith("DynamicQuantizeLSTM"))
        for op, x, w in triples
    )


_OPENERS: dict[str, Callable[[Any, Graph], Oracle]] = {
    "tflm": _Tflm,
    "litert": _LiteRt,
    "onnxruntime": _OnnxRuntime,
}
