"""Two ONNX files that must hold the same values: run by mcuprof's kernels and by ONNX Runtime, tensor by tensor."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mcuprof.errors import ModelError, PlanError, UsageError
from mcuprof.graph import Graph
from mcuprof.ops.kernel import Array
from mcuprof.ops.narrowing import Kept
from mcuprof.planning.proof import Step
from mcuprof.planning.pruning import survivors
from mcuprof.progress import Say
from mcuprof.readers import read
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.oracles import open_oracle
from mcuprof.runner.program import evaluate, prepare


class _Runs(Protocol):
    def run(self, inputs: Mapping[int, Array]) -> dict[int, Array]: ...


_ALL: Mapping[int, Kept] = {}


def alike(
    before: tuple[Graph, bytes], after: tuple[Graph, bytes], say: Say, inputs: int, narrowed: Mapping[int, Kept] = _ALL
) -> list[Step]:
    """Every computed tensor that both files have (outputs by place, others by name) is equal on random inputs.

    Of the first file's tensors in `narrowed`, the channels that stay are compared.
    Raises PlanError where one is not. A judge that is not there, or refuses the file as it was, is named in its step.
    """
    names = {before[0].tensors[index].name: index for index in narrowed}
    same = survivors(before[0], after[0])
    same |= {
        index: names[tensor.name]
        for index, tensor in enumerate(after[0].tensors)
        if index in after[0].producer and tensor.name in names
    }
    if missing := set(narrowed) - set(same.values()):
        raise PlanError(f"the new file has no tensor {before[0].tensors[min(missing)].name!r}")
    pairs = _Pairs(before[0], after[0], same, narrowed)
    steps = [_by_mcuprof(pairs, say, inputs)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("before.onnx", "after.onnx")]
        for path, (_, data) in zip(paths, (before, after), strict=True):
            path.write_bytes(data)
        steps.append(_by_onnxruntime(pairs, paths, say, inputs))
    return steps


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Both graphs, tensors of the second to those of the first, and what of the latter is compared."""

    before: Graph
    after: Graph
    same: Mapping[int, int]
    narrowed: Mapping[int, Kept]

    def expected(self, old: int, value: Array) -> Array:
        """What the second file must hold."""
        return self.narrowed[old].of(value) if old in self.narrowed else value


def _by_mcuprof(pairs: _Pairs, say: Say, inputs: int) -> Step:
    programs = [_Program(pairs.before), _Program(pairs.after)]
    for graph, one in zip((pairs.before, pairs.after), programs, strict=True):
        if one.program.missing:
            index, reason = min(one.program.missing.items())
            return Step(f"not executed by mcuprof: operator {index} ({graph.ops[index].kind}): {reason}")
    return _compared("mcuprof", pairs, programs[0], programs[1], say, inputs)


def _by_onnxruntime(pairs: _Pairs, paths: list[Path], say: Say, inputs: int) -> Step:
    try:
        first = open_oracle("onnxruntime", read(str(paths[0])))
    except UsageError as error:
        return Step(f"not executed by ONNX Runtime: {error}")
    try:
        second = open_oracle("onnxruntime", read(str(paths[1])))
    except UsageError as error:
        raise PlanError(f"ONNX Runtime refuses the new file: {error}") from None
    return _compared("ONNX Runtime", pairs, first, second, say, inputs)


class _Program:
    def __init__(self, graph: Graph) -> None:
        self.program = prepare(graph)

    def run(self, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """One inference."""
        return dict(evaluate(self.program, inputs, self.program.initial_state()))


def _compared(judge: str, pairs: _Pairs, first: _Runs, second: _Runs, say: Say, inputs: int) -> Step:
    before, after, same = pairs.before, pairs.after, pairs.same
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
            if found[new].tobytes() != pairs.expected(old, expected[old]).tobytes():
                raise PlanError(f"executed by {judge}, tensor {after.tensors[new].name!r} differs")
        tensors, values = len(shown), values + sum(found[new].size for new, _ in shown)
    return Step(f"executed by {judge}: {inputs} inputs, {tensors} tensors, {values:,} values equal", True)
