"""ONNX networks in stripes against the whole: ONNX Runtime runs both, and every tensor that stayed whole is equal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mcuprof.errors import PlanError
from mcuprof.planning.pruning import survivors
from mcuprof.planning.split_onnx import same_network, tensor_splitter
from mcuprof.readers.onnx import read_onnx
from mcuprof.readers.onnx.load import parse
from mcuprof.rewrites.split import Option, options, prove, split, turned
from mcuprof.rewrites.split import rows as arithmetic
from mcuprof.rewrites.split.regions import regions
from mcuprof.writers.onnx_nodes import Nodes
from mcuprof.writers.onnx_stripes import striped
from tests.rewrites.onnx_networks import onnx_network

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
INPUTS = 2
MANY = 1 << 20


class Case:
    """One network and what a search would know of it."""

    def __init__(self, seed: int, same_size: bool = False) -> None:
        self.data = onnx_network(seed, same_size)
        self.model, self.graph = parse(self.data), read_onnx(self.data, "", {})
        self.nodes = Nodes(self.model, self.graph)
        splitter = tensor_splitter(self.graph, self.nodes)
        self.image, self.outline, self.tariff = splitter.graph, splitter.outline, splitter.tariff

    def option(self, rng: random.Random) -> Option | None:
        """One way to split one region, from either end, with any crops."""
        found = list(regions(self.outline))
        for region in sorted(found, key=lambda r: rng.random() * (1 + r.last - r.first), reverse=True):
            every = options(self.outline, region, self.tariff, finest=rng.choice((4, 8, 32)), every=True)
            if every:
                option = rng.choice(every)
                other = turned(self.outline, option, self.tariff, 16) if rng.random() < 0.3 else []
                return rng.choice(other) if other else option
        return None

    def written(self, option: Option, proven: bool = True) -> bytes:
        made = split(self.outline, [option], MANY)
        if proven:
            prove(self.image, made)
        data = striped(self.model, self.nodes, made.graph, made.origins, made.tensors)
        same_network(made.graph, read_onnx(data, "", {}))
        return data


def cases(count: int, start: int = 0) -> Iterator[tuple[int, Case, Option]]:
    """`count` networks that can be split, each with one split."""
    seed = start
    while count:
        case = Case(seed)
        option = case.option(random.Random(seed))
        if option is not None:
            yield seed, case, option
            count -= 1
        seed += 1


def tensors(data: bytes, names: list[str], feeds: list[dict[str, Any]]) -> list[list[Any]]:
    """These tensors for each of the inputs, from ONNX Runtime without optimisation: QDQ in float, exact integers."""
    model = onnx.ModelProto.FromString(data)
    present = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    session_options = onnxruntime.SessionOptions()
    session_options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session_options.intra_op_num_threads = 1
    session_options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options, ["CPUExecutionProvider"])
    return [session.run(names, feed) for feed in feeds]


def differing(case: Case, data: bytes, seed: int) -> tuple[int, int]:
    """(values that differ, values) of the tensors that both files have."""
    after = read_onnx(data, "", {})
    same = {after.tensors[new].name for new in survivors(case.graph, after)}
    names = sorted(same)
    assert {case.graph.tensors[output].name for output in case.graph.outputs} <= same
    spec = case.graph.tensors[case.graph.inputs[0]]
    dtype = np.dtype(spec.dtype.value)
    limits, rng = np.iinfo(dtype), np.random.default_rng(seed)
    feeds = [{"x": rng.integers(limits.min, limits.max + 1, spec.shape, dtype)} for _ in range(INPUTS)]
    pairs = [
        (expected, found)
        for first, second in zip(tensors(case.data, names, feeds), tensors(data, names, feeds), strict=True)
        for expected, found in zip(first, second, strict=True)
    ]
    return sum(int((a != b).sum()) for a, b in pairs), sum(a.size for a, _ in pairs)


def run(count: int, start: int) -> tuple[list[int], int, int]:
    """(networks in which a value differs, values compared, stripes)."""
    wrong, values, stripes = [], 0, 0
    for seed, case, option in cases(count, start):
        different, compared = differing(case, case.written(option), seed)
        wrong += [seed] * bool(different)
        values, stripes = values + compared, stripes + option.stripes
    return wrong, values, stripes


def test_random_splits_change_no_value() -> None:
    wrong, values, stripes = run(40, 0)
    assert wrong == [] and values > 10_000 and stripes > 80


@pytest.mark.slow
def test_a_thousand_random_splits_change_no_value() -> None:
    wrong, values, stripes = run(1000, 1000)
    assert wrong == [] and values > 500_000 and stripes > 2000


def test_ignoring_the_halo_changes_values_and_the_proof_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: every stripe padded as if it were the whole image, and believed to be right."""

    def own_rows(rule: Any, out: arithmetic.Span) -> arithmetic.Span:
        return out

    def all_right(rule: Any, given: arithmetic.Stripe) -> tuple[arithmetic.Stripe, Any]:
        return given, given.extent.rows > 0

    monkeypatch.setattr("mcuprof.rewrites.split.stripes.needed", own_rows)
    monkeypatch.setattr("mcuprof.rewrites.split.stripes.produced", all_right)
    monkeypatch.setattr("mcuprof.rewrites.split.emit._borders", lambda rule, held: rule.pad)
    seen = 0
    for seed in range(4):
        case = Case(seed, same_size=True)
        option = case.option(random.Random(seed))
        if option is None or not any(
            _spatial(case, index) for index in range(option.region.first, option.region.last + 1)
        ):
            continue
        different, compared = differing(case, case.written(option, proven=False), seed)
        assert 0 < different < compared
        with pytest.raises(PlanError):
            case.written(option)
        seen += 1
    assert seen > 1


def _spatial(case: Case, index: int) -> bool:
    rule = case.outline.rules[index]
    return rule is not None and rule.span > 1


def test_weights_are_shared_and_outputs_keep_their_names() -> None:
    _, case, option = next(cases(1, 7))
    after = parse(case.written(option))
    before = {proto.name: proto for proto in case.model.graph.initializer}
    added = [proto for proto in after.graph.initializer if proto.name not in before]
    assert all(proto.data_type == onnx.TensorProto.INT64 and list(proto.dims) == [1] for proto in added)
    assert [output.name for output in after.graph.output] == [output.name for output in case.model.graph.output]
    onnx.checker.check_model(after, full_check=True)
