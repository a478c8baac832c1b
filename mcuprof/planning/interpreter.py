"""The real runtime as judge: TFLM's own interpreter runs the planned file, and every tensor is compared.

An interpreter that keeps all tensors would not run the plan. So the planned model is cut off after each operator in
turn, with that operator's output as the model's: what the interpreter then shows is what the plan left there.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from mcuprof.errors import PlanError
from mcuprof.graph import ABSENT, Graph
from mcuprof.memory.problem import STATEFUL
from mcuprof.ops import keeps_state, total_macs
from mcuprof.ops.kernel import Array
from mcuprof.planning.proof import Step
from mcuprof.progress import Say
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.isolation import Isolated
from mcuprof.runtimes import tflm
from mcuprof.runtimes.tflm.abi import HOST64
from mcuprof.writers.tflite import first_operators

INPUTS = 20
# MACs and bytes computed while tensors are compared: about two minutes. Counted, so that any machine compares as much.
WORK_FOR_INTERMEDIATES = 100e9
_MODULE = "tflite_micro.python.tflite_micro.runtime"


def interpreted(
    before: Graph,
    data: bytes,
    after: Graph,
    planned: bytes,
    say: Say,
    inputs: int = INPUTS,
    same: Mapping[int, int] | None = None,
) -> Step:
    """The interpreter reports the head that was predicted, and gives the same tensors as without the plan.

    `data` is the file before and `planned` the one after; the graphs are what they hold. `same` maps tensors of the
    graph after to those of the graph before that they must equal (default: by position). Raises PlanError.
    """
    try:
        from importlib import import_module

        runtime: Any = import_module(_MODULE)
    except ImportError:
        return Step("not executed by tflite-micro, which is not installed")
    tensors = dict(enumerate(range(len(after.tensors)))) if same is None else same
    facts = (runtime, before, data, after, planned, tensors, say, inputs)
    with Isolated("tflite-micro", lambda: _Judgement(facts)) as judgement:
        step: Step = judgement.call("step")
    return step


class _Judgement:
    """What `interpreted` asks for, in the process in which the interpreter may crash."""

    def __init__(self, facts: tuple[Any, ...]) -> None:
        self.facts = facts

    def step(self) -> Step:
        """See `interpreted`."""
        return _interpreted(*self.facts)


def _interpreted(
    runtime: Any,
    before: Graph,
    data: bytes,
    after: Graph,
    planned: bytes,
    tensors: Mapping[int, int],
    say: Say,
    inputs: int,
) -> Step:
    judge = _Judge(runtime, before, data, after, planned, tensors)
    try:
        judge.open()
        judge.run(judge.reference, random_inputs(before, 0))
        if judge.stateful:
            judge.open()
    except Exception as error:  # whatever a foreign runtime raises for a model it refuses
        return Step(f"not executed by tflite-micro, which refuses the model as it was: {_first_line(error)}")
    try:
        return _compared(judge, after, inputs, say)
    except RuntimeError as error:
        raise PlanError(f"tflite-micro fails on the planned file: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _compared(judge: _Judge, after: Graph, inputs: int, say: Say) -> Step:
    expected_head = tflm.arena(after, library="reference", core=None, target=HOST64)
    head = judge.head()
    if not expected_head.inexact and head != expected_head.head_bytes:
        raise PlanError(f"tflite-micro reports a head of {head:,} B, predicted were {expected_head.head_bytes:,} B")
    judge.compare_outputs(inputs, say)
    per_input = _work(after) * len(judge.compared()) / 2
    rounds = max(1, min(inputs, int(WORK_FOR_INTERMEDIATES / max(per_input, 1))))
    compared = judge.compare_intermediates(rounds, say)
    text = f"executed by tflite-micro: head {head:,} B, outputs equal on {inputs} inputs, "
    return Step(text + f"all {compared} intermediate tensors on {rounds}", True)


def _work(graph: Graph) -> int:
    """MACs and bytes computed in one inference."""
    return total_macs(graph) + sum(graph.tensors[index].nbytes for index in graph.producer)


class _Judge:
    """Interpreters for the file before, which keeps all tensors, and the file after."""

    def __init__(
        self, runtime: Any, before: Graph, data: bytes, after: Graph, planned: bytes, same: Mapping[int, int]
    ) -> None:
        self.same_as = same
        self.runtime, self.before, self.data, self.after, self.planned = runtime, before, data, after, planned
        # Operators may keep state that others read; then each input starts from a new interpreter.
        keeping = (op.kind in STATEFUL or keeps_state(op) for op in before.ops)
        self.stateful = any(keeping) or any(t.variable for t in before.tensors)
        tensors = sum(tensor.nbytes + 4096 for tensor in before.tensors if not tensor.is_constant)
        host = tflm.arena(after, library="reference", core=None, target=HOST64)
        scratch = sum(request.nbytes for request in host.requests)
        self.arena_bytes = 2 * (tensors + scratch + host.tail.nbytes) + (1 << 20)

    def open(self) -> None:
        """Load the file as it was."""
        self.reference = self.interpreter(self.data, keep=True)
        self.subject = self.interpreter(self.planned)

    def interpreter(self, data: bytes, keep: bool = False) -> Any:
        config = self.runtime.InterpreterConfig
        return self.runtime.Interpreter.from_bytes(
            data,
            arena_size=self.arena_bytes,
            intrepreter_config=config.kPreserveAllTensors if keep else config.kAllocationRecording,
        )

    def head(self) -> int:
        """Bytes of the head as the interpreter itself reports them, on stderr."""
        with tempfile.TemporaryFile() as file:
            saved = os.dup(2)
            os.dup2(file.fileno(), 2)
            try:
                self.subject.print_allocations()
            finally:
                os.dup2(saved, 2)
                os.close(saved)
            file.seek(0)
            found = re.search(rb"Arena allocation head (\d+) bytes", file.read())
        if found is None:
            raise PlanError("tflite-micro does not report its head")
        return int(found[1])

    def compare_outputs(self, inputs: int, say: Say) -> None:
        """Outputs of both on `inputs` random inputs. Raises PlanError."""
        for seed in range(inputs):
            say(f"tflite-micro, input {seed + 1} of {inputs}")
            given = random_inputs(self.before, seed)
            self.run(self.reference, given)
            self.run(self.subject, given)
            for position, tensor in enumerate(self.after.outputs):
                self.same(tensor, self.subject.get_output(position), self.kept(self.same_as[tensor]))
            if self.stateful:
                self.open()

    def compared(self) -> list[tuple[int, int]]:
        """(operators run, tensor) for every computed tensor that has its like in the file before."""
        return [
            (count, tensor)
            for count, op in enumerate(self.after.ops, 1)
            for tensor in op.outputs
            if tensor in self.same_as
            and tensor != ABSENT
            and self.after.tensors[tensor].elements
            and self.after.tensors[tensor].dtype.bits
        ]

    def compare_intermediates(self, inputs: int, say: Say) -> int:
        """What every operator leaves behind, against the interpreter that keeps all; the number of tensors."""
        expected: list[dict[int, Array]] = []
        tensors = self.compared()
        for seed in range(inputs):
            if self.stateful:
                self.reference = self.interpreter(self.data, keep=True)
            self.run(self.reference, random_inputs(self.before, seed))
            expected.append({tensor: self.kept(self.same_as[tensor]).copy() for _, tensor in tensors})
        for done, (count, tensor) in enumerate(tensors, 1):
            say(f"tflite-micro, tensor {done} of {len(tensors)}")
            cut = self.interpreter(first_operators(self.planned, count, tensor))
            for seed in range(inputs):
                if self.stateful and seed:
                    cut = self.interpreter(first_operators(self.planned, count, tensor))
                self.run(cut, random_inputs(self.before, seed))
                self.same(tensor, cut.get_output(0), expected[seed][tensor])
        return len(tensors)

    def run(self, interpreter: Any, given: Mapping[int, Array]) -> None:
        for position, tensor in enumerate(self.before.inputs):
            interpreter.set_input(given[tensor].copy(), position)
        interpreter.invoke()

    def kept(self, tensor: int) -> Array:
        return np.asarray(self.reference.GetTensor(tensor, 0)["tensor_data"])

    def same(self, tensor: int, found: Any, expected: Array) -> None:
        """Raises PlanError unless both hold the same bytes."""
        if np.ascontiguousarray(found).tobytes() != np.ascontiguousarray(expected).tobytes():
            name = self.after.tensors[tensor].name
            raise PlanError(f"executed by tflite-micro inside the plan, tensor {name!r} differs")
