"""The runner: CPU time per inference beside other runtimes, same inputs, same run, one thread; and in processes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import table, write
from mcuprof.memory import plan
from mcuprof.memory.effort import Limit
from mcuprof.readers import read
from mcuprof.runner import Session
from mcuprof.runner.inputs import random_inputs
from tests.corpus import MODELS, model, models

TFLITE = ("mlperf_kws_int8", "mlperf_vww_mbv1_int8", "mlperf_ic_resnet8_int8", "tflm_pytorch_mbv2_int8")
ONNX = ("drv_kwsm_qop_s8s8_pc", "drv_resnet8_qop_s8s8_pc", "drv_mbv2_qop_u8s8")
LONGEST, ROUNDS = "tflm_pytorch_mbv2_int8", 7
Run = Callable[[dict[int, Any]], object]


def run() -> None:
    """Writes `results/runner.md`; says so where the corpus is absent."""
    if not models():
        print(f"no models at {MODELS}: nothing to time")
        return
    print(write("runner", "Integer runner", [tflite_models(), onnx_models(), processes()]))


def tflite_models() -> str:
    """Against TFLM and LiteRT (reference and default kernels); the last column runs inside an overlapping plan."""
    rows = []
    for name in TFLITE:
        graph = read(model(name).path)
        inside = Session(graph, plan(graph, in_place="overlap", limit=Limit(5.0)))
        runs: list[Run] = [Session(graph).run_indexed, _tflm(graph), _litert(graph, True), _litert(graph, False)]
        times = _race([*runs, inside.run_indexed], graph)
        rows.append([name, *times, times[1] / times[0]])
    head = ["model", "mcuprof", "TFLM", "LiteRT reference", "LiteRT", "mcuprof in its plan", "TFLM / mcuprof"]
    return table("CPU ms per inference, median", head, rows)


def onnx_models() -> str:
    """Against ONNX's ReferenceEvaluator, which is plain NumPy as well."""
    rows = []
    for name in ONNX:
        graph = read(model(name).path)
        times = _race([Session(graph).run_indexed, _reference_evaluator(graph, model(name).path)], graph, 3)
        rows.append([name, *times, times[1] / times[0]])
    return table("CPU ms per inference, median", ["model", "mcuprof", "ReferenceEvaluator", "ratio"], rows)


def processes() -> str:
    """`verify --jobs`: whole processes of 20 inputs in a plan, wall and CPU time, and what others took meanwhile.

    BLAS threads are what the command line sets (1), and what NumPy takes when nobody says anything.
    """
    path, cores = str(model(LONGEST).path), os.cpu_count() or 1
    ways = list(dict.fromkeys([(1, 1), (2, 1), (1, cores), (2, cores)]))
    found: dict[tuple[int, int], list[tuple[float, float, float]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for jobs, threads in ways:
            found[jobs, threads].append(_measured(["verify", path, "--count", "20", "--jobs", str(jobs)], threads))
    rows = []
    for way, spent in found.items():
        medians = map(statistics.median, zip(*spent, strict=True))
        wall, _, others = min(spent, key=lambda run: run[2])
        rows.append([*way, *medians, wall, others])
    head = ["jobs", "BLAS threads", "wall s", "CPU s", "cores taken by others", "least disturbed: wall s", "taken"]
    made = table(f"verify {LONGEST} --count 20, median of {ROUNDS} runs in turn", head, rows)
    return made + f"\nThe machine has {cores} cores: what others take of them, a second process cannot have.\n"


def _measured(arguments: list[str], threads: int) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds with all children, cores that other processes kept busy; NaN where unknown)."""
    command = [sys.executable, "-c", "import sys; from mcuprof.cli import main; sys.exit(main())", *arguments]
    busy, start = _busy(), time.perf_counter()
    child = subprocess.Popen(
        command, env={**os.environ, "OPENBLAS_NUM_THREADS": str(threads)}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    wall, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    assert status == 0, f"{arguments} failed"
    return wall, cpu, (_busy() - busy - cpu) / wall


def _busy() -> float:
    """CPU seconds that all processes of the machine have used since it started; NaN where Linux does not say."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return float("nan")
    user, nice, system, _idle, _wait, *interrupts = map(int, stat.read_text().split("\n", 1)[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _race(runs: list[Run], graph: Any, repeats: int = 15) -> list[float]:
    """Median CPU milliseconds of each, taken turn by turn so that all see the same machine."""
    sets = [random_inputs(graph, seed) for seed in range(3)]
    times: list[list[float]] = [[] for _ in runs]
    for repeat in range(repeats + 1):
        for number, one in enumerate(runs):
            start = time.process_time()
            one(sets[repeat % len(sets)])
            if repeat:  # the first round warms caches
                times[number].append(1e3 * (time.process_time() - start))
    return [statistics.median(values) for values in times]


def _tflm(graph: Any) -> Run:
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_file(graph.origin.path, arena_size=1 << 26)

    def one(given: dict[int, Any]) -> object:
        for position, tensor in enumerate(graph.inputs):
            interpreter.set_input(given[tensor], position)
        interpreter.invoke()
        return interpreter.get_output(0)

    return one


def _litert(graph: Any, reference: bool) -> Run:
    from ai_edge_litert import interpreter as litert

    kinds = litert.OpResolverType
    resolver = kinds.BUILTIN_REF if reference else kinds.BUILTIN
    interpreter = litert.Interpreter(
        model_path=graph.origin.path, experimental_op_resolver_type=resolver, num_threads=1
    )
    interpreter.allocate_tensors()

    def one(given: dict[int, Any]) -> object:
        for tensor, value in given.items():
            interpreter.set_tensor(tensor, value)
        interpreter.invoke()
        return interpreter.get_tensor(graph.outputs[0])

    return one


def _reference_evaluator(graph: Any, path: Path) -> Run:
    import onnx
    from onnx.reference import ReferenceEvaluator

    loaded = onnx.load(path)
    for entry in loaded.opset_import:
        if not entry.domain:  # the evaluator knows DequantizeLinear from opset 19 on
            entry.version = max(entry.version, 19)
    evaluator = ReferenceEvaluator(loaded, new_ops=_contrib_operators())
    names = {tensor: graph.tensors[tensor].name for tensor in graph.inputs}
    return lambda given: evaluator.run(None, {names[tensor]: value for tensor, value in given.items()})


def _contrib_operators() -> list[Any]:
    """ONNX Runtime's own operators, which the evaluator lacks, in plain NumPy."""
    from onnx.reference.op_run import OpRun

    def real(x: Any, scale: Any, zero: Any) -> Any:
        return (x.astype(np.float32) - np.float32(zero)) * scale

    def stored(x: Any, scale: Any, zero: Any) -> Any:
        info = np.iinfo(zero.dtype)
        return np.clip(np.rint(x / scale) + np.float32(zero), info.min, info.max).astype(zero.dtype)

    class QLinearAdd(OpRun):
        op_domain = "com.microsoft"

        def _run(self, *a: Any, **_: Any) -> tuple[Any]:
            return (stored(real(*a[:3]) + real(*a[3:6]), a[6], a[7]),)

    class QGemm(OpRun):
        op_domain = "com.microsoft"

        def _run(self, *a: Any, transB: int = 0, **_: Any) -> tuple[Any]:  # noqa: N803
            weights = a[3].T if transB else a[3]
            total = (a[0].astype(np.int32) - np.int32(a[2])) @ (weights.astype(np.int32) - a[5].astype(np.int32))
            total = total + (a[6] if a[6] is not None else 0)
            return (stored(total * np.float32(a[1]) * a[4], a[7], a[8]),)

    class QLinearAveragePool(OpRun):
        op_domain = "com.microsoft"

        def _run(self, *a: Any, kernel_shape: Any = (), **_: Any) -> tuple[Any]:
            x, (h, w) = real(*a[:3]), kernel_shape
            n, c, height, width = x.shape
            cut = x[:, :, : height // h * h, : width // w * w].reshape(n, c, height // h, h, width // w, w)
            return (stored(cut.mean(axis=(3, 5)), a[3], a[4]),)

    class QLinearGlobalAveragePool(OpRun):
        op_domain = "com.microsoft"

        def _run(self, *a: Any, **_: Any) -> tuple[Any]:
            return (stored(real(*a[:3]).mean(axis=(2, 3), keepdims=True), a[3], a[4]),)

    class QLinearSoftmax(OpRun):
        op_domain = "com.microsoft"

        def _run(self, *a: Any, **_: Any) -> tuple[Any]:
            powers = np.exp(real(*a[:3]))
            return (stored(powers / powers.sum(axis=-1, keepdims=True), a[3], a[4]),)

    return [QLinearAdd, QGemm, QLinearAveragePool, QLinearGlobalAveragePool, QLinearSoftmax]
