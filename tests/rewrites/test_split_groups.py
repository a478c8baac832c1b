"""Channel groups against the whole: tflite-micro runs both; the proof takes no other channels for these."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from mcuprof.errors import PlanError
from mcuprof.graph import Graph
from mcuprof.rewrites.split import Option, Outline, group_options, prove, split
from tests.rewrites.image_networks import image_network
from tests.rewrites.test_split import differing, tariff


def cases(count: int, start: int = 0) -> list[tuple[int, Graph, Outline, Option]]:
    """`count` networks with a chain of channels, and one way to deal it out."""
    found: list[tuple[int, Graph, Outline, Option]] = []
    seed = start
    while len(found) < count:
        graph = image_network(seed)
        outline = Outline(graph)
        every = group_options(outline, tariff(graph))
        if every:
            found.append((seed, graph, outline, random.Random(seed).choice(every)))
        seed += 1
    return found


def test_random_channel_groups_change_no_value() -> None:
    assert [seed for seed, graph, outline, option in cases(40) if differing(graph, option, outline, seed)[0]] == []


@pytest.mark.slow
def test_a_thousand_random_channel_groups_change_no_value() -> None:
    found = cases(1000, start=5000)
    assert [seed for seed, graph, outline, option in found if differing(graph, option, outline, seed)[0]] == []


def test_groups_hold_each_weight_once() -> None:
    for _, graph, outline, option in cases(10, start=300):
        made = split(outline, [option]).graph
        assert _constants(made) == _constants(graph)


def _constants(graph: Graph) -> int:
    return sum(len(t.data) for t in graph.tensors if t.data is not None and t.quantization is not None)


@pytest.mark.parametrize("seed", range(10))
def test_the_proof_rejects_filters_of_other_channels(seed: int) -> None:
    """Weights of the first two groups changed places: what tflite-micro then computes differs."""
    ((_, graph, outline, option),) = cases(1, start=20 * seed)
    made = split(outline, [option])
    convs = [index for index, op in enumerate(made.graph.ops) if made.origins[index] == option.region.first]
    one, other = (made.graph.ops[index] for index in convs[:2])
    if made.graph.output(one).shape != made.graph.output(other).shape:
        return
    ops = list(made.graph.ops)
    ops[convs[0]] = replace(one, inputs=other.inputs)
    ops[convs[1]] = replace(other, inputs=one.inputs)
    with pytest.raises(PlanError, match="channel group"):
        prove(graph, replace(made, graph=replace(made.graph, ops=tuple(ops))))


def test_the_proof_rejects_channels_joined_in_another_order() -> None:
    for _, graph, outline, option in cases(5, start=900):
        made = split(outline, [option])
        ops = list(made.graph.ops)
        index = next(i for i, op in enumerate(ops) if made.origins[i] is None)
        ops[index] = replace(ops[index], inputs=ops[index].inputs[::-1])
        with pytest.raises(PlanError):
            prove(graph, replace(made, graph=replace(made.graph, ops=tuple(ops))))
