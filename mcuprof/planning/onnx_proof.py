"""Two ONNX files that must hold the same values: run by mcuprof's kernels and by ONNX Runtime, tensor by tensor."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from mcuprof.errors import ModelError, PlanError, UsageError
from mcuprof.graph import Graph
from mcuprof.ops.kernel import Array
from mcuprof.planning.proof import Say, Step
from mcuprof.planning.pruning import survivors
from mcuprof.readers import read
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.oracles import open_oracle
from mcuprof.runner.program import evaluate, prepare


class _Runs(Protocol):
    def run(self, inputs: Mapping[int, Array]) -> dict[int, Array]: ...


def alike(before: tuple[Graph, bytes], after: tuple[Graph, bytes], say: Say, inputs: int) -> list[Step]:
    """Every computed tensor that both files have (outputs by place, others by name) is equal on random inputs.

    Raises PlanError where one is not. A judge that is not there, or refuses the file as it was, is named in its step.
    """
    same = survivors(before[0], after[0])
    steps = [_by_mcuprof(before[0], after[0], same, say, inputs)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("before.onnx", "after.onnx")]
        for path, (_, data) in zip(paths, (before, after), strict=True):
            path.write_bytes(data)
        steps.append(_by_onnxruntime(before[0], after[0], paths, same, say, inputs))
    return steps


def _by_mcuprof(before: Graph, after: Graph, same: Mapping[int, int], say: Say, inputs: int) -> Step:
    programs = [_Program(before), _Program(after)]
    for graph, one in zip((before, after), programs, strict=True):
        if one.program.missing:
            index, reason = min(one.program.missing.items())
            return Step(f"not executed by mcuprof: operator {index} ({graph.ops[index].kind}): {reason}")
    return _compared("mcuprof", before, after, programs[0], programs[1], same, say, inputs)


def _by_onnxruntime(
    before: Graph, after: Graph, paths: list[Path], same: Mapping[int, int], say: Say, inputs: int
) -> Step:
    try:
        first = open_oracle("onnxruntime", read(str(paths[0])))
    except UsageError as error:
        return Step(f"not executed by ONNX Runtime: {error}")
    try:
        second = open_oracle("onnxruntime", read(str(paths[1])))
    except UsageError as error:
        raise PlanError(f"ONNX Runtime refuses the split: {error}") from None
    return _compared("ONNX Runtime", before, after, first, second, same, say, inputs)


class _Program:
    def __init__(self, graph: Graph) -> None:
        self.program = prepare(graph)

    def run(self, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """One inference."""
        return dict(evaluate(self.program, inputs, self.program.initial_state()))


def _compared(
    judge: str,
    before: Graph,
    after: Graph,
    first: _Runs,
    second: _Runs,
    same: Mapping[int, int],
    say: Say,
    inputs: int,
) -> Step:
    tensors = values = 0
    for seed in range(inputs):
        say(f"{judge}, input {seed + 1} of {inputs}")
        given = random_inputs(before, seed)
        expected = first.run(given)
        found = second.run({new: given[old] for new, old in zip(after.inputs, before.inputs, strict=True)})
        shown = [(new, old) for new, old in same.items() if new in found and old in expected]
        if missing := [new for new in after.outputs if new in after.producer and new not in found]:
            raise ModelError(f"{judge} does not give the output {after.tensors[missing[0]].name!r}")
        for new, old in shown:
            if found[new].tobytes() != expected[old].tobytes():
                raise PlanError(f"executed by {judge}, tensor {after.tensors[new].name!r} differs")
        tensors, values = len(shown), values + sum(found[new].size for new, _ in shown)
    return Step(f"executed by {judge}: {inputs} inputs, {tensors} tensors, {values:,} values equal", True)
