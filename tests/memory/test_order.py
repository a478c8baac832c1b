"""Orders against exhaustion over all of them. MCUPROF_RANDOM_GRAPHS sets how many random graphs are tried."""

from __future__ import annotations

import os
import random

import pytest

from mcuprof.graph import Graph
from mcuprof.memory.bounds import downset_bound, working_set
from mcuprof.memory.effort import Limit
from mcuprof.memory.liveness import peak
from mcuprof.memory.order import best_order
from mcuprof.memory.problem import build_problem
from mcuprof.ops.sharing import share
from tests.graphs import graph, op, tensor
from tests.memory.brute import Instance, least_peak, random_instance

COUNT = int(os.environ.get("MCUPROF_RANDOM_GRAPHS", "240"))


def instance(seed: int, operators: int = 12) -> Instance:
    """Random graphs, in turn without and with sharing, without and with scratch."""
    rng = random.Random(seed)
    return random_instance(rng, rng.randint(1, operators), shares=bool(seed & 1), scratch=bool(seed & 2))


def runs(network: Graph, order: list[int]) -> bool:
    """Whether every operator runs once, after all that it reads."""
    known = set(network.inputs)
    for number in order:
        if not known.issuperset(network.ops[number].inputs):
            return False
        known |= set(network.ops[number].outputs)
    return sorted(order) == list(range(len(network.ops)))


def test_search_and_bounds_against_all_orders() -> None:
    searched = 0
    for seed in range(COUNT):
        case = instance(seed)
        problem = build_problem(case.graph, "overlap", sharing=case.sharing, scratch=case.scratch)
        truth = least_peak(case)
        found = best_order(problem)
        assert (found.peak, found.bound) == (truth, truth), seed
        assert peak(problem, found.order) == truth, seed
        assert runs(case.graph, [step - 1 for step in found.order[1:]]), seed
        as_is = [tuple(range(len(problem.steps)))]
        assert working_set(problem).bytes <= downset_bound(problem, as_is).bytes <= truth, seed
        searched += found.proof == "search"
    assert searched > COUNT // 20, "the bound settles too many of these graphs for a test of the search"


def test_no_time_gives_a_valid_bound() -> None:
    for seed in range(60):
        case = instance(seed, operators=9)
        problem = build_problem(case.graph, "overlap", sharing=case.sharing, scratch=case.scratch)
        found = best_order(problem, Limit(0).start())
        assert found.bound <= least_peak(case) <= found.peak == peak(problem, found.order), seed


def two_branches() -> Graph:
    """Two branches that shrink and are joined: running one to its end first is best."""
    sizes = (10, 60, 10, 60, 10, 20)
    tensors = [tensor(f"t{number}", (size,)) for number, size in enumerate(sizes)]
    ops = [op("A", [0], [1]), op("A", [0], [3]), op("A", [1], [2]), op("A", [3], [4]), op("JOIN", [2, 4], [5])]
    return graph(tensors, ops, [0], [5])


@pytest.mark.parametrize("strategy", ["none", "overlap"])
def test_branches_run_one_after_the_other(strategy: str) -> None:
    problem = build_problem(two_branches(), strategy, sharing=share)
    assert peak(problem, range(6)) == 130  # both branches wide open, and the input or the first result
    assert best_order(problem).peak == 80  # input or the first branch's result, 60 and 10
