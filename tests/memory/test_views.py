"""Plans with views: executed, compared with an exact solver of other make, and mutated."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.errors import PlanError, UsageError
from mcuprof.graph import Graph
from mcuprof.memory import MemoryPlan, View, check, plan
from mcuprof.memory.effort import Limit
from mcuprof.ops.kernel import Array
from mcuprof.ops.sharing import share
from mcuprof.runner.arena import evaluate_in_arena
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.program import evaluate, prepare, run_operator
from tests.stripes import Striped, striped


@pytest.mark.parametrize("strategy", ["none", "alias", "elementwise", "overlap"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_stripes_in_their_plan_compute_what_the_whole_network_does(strategy: str, seed: int) -> None:
    rng = random.Random(seed)
    case = striped(rng)
    scratch = [(rng.randint(0, 20),) for _ in case.stripes.ops]
    found = plan(case.stripes, "as-is", strategy, views=case.views, scratch=scratch, limit=Limit(0.3))
    assert found.lower_bound_bytes <= found.arena_bytes
    program, inputs = prepare(case.stripes), random_inputs(case.whole, seed)
    inside = evaluate_in_arena(program, found, inputs, program.initial_state(), seed)
    plain = prepare(case.whole)
    expected = evaluate(plain, inputs, plain.initial_state())
    assert np.array_equal(inside[case.stripes.outputs[0]], expected[case.whole.outputs[0]])


def test_the_arena_is_that_of_another_solver() -> None:
    """Rectangles of single rows over the positions at which they are needed, one offset per group of tensors."""
    pytest.importorskip("ortools")
    certified = 0
    for seed in range(25):
        case = striped(random.Random(seed))
        found = plan(case.stripes, "as-is", views=case.views, alignment=1, limit=Limit(2))
        least = least_arena(case)
        assert found.lower_bound_bytes <= least <= found.arena_bytes, seed
        certified += found.optimal
    assert certified >= 22


def test_progressive_deaths_save_what_they_should() -> None:
    """Four stripes of elementwise work: the input and one stripe, instead of input and output (and slices)."""
    case = striped(random.Random(5))
    without = plan(case.stripes, "as-is")
    assert plan(case.stripes, "as-is", views=case.views).arena_bytes < without.arena_bytes


def test_mutations_that_destroy_a_value_are_rejected_and_caught_when_executed() -> None:
    broken = 0
    for seed in range(60):
        rng = random.Random(seed)
        case = striped(rng)
        found = plan(case.stripes, "as-is", views=case.views, alignment=1, limit=Limit(0.2))
        assert not destroys(case, found, seed)
        for mutated in mutations(case, found, rng):
            if destroys(case, mutated, seed):
                broken += 1
                assert check(case.stripes, mutated, sharing=share), seed
                with pytest.raises(PlanError):
                    run_inside(case.stripes, mutated, seed)
    assert broken > 200


def test_views_that_hold_other_values_are_refused() -> None:
    case = striped(random.Random(5))
    graph = case.stripes
    tensor, view = next((t, v) for t, v in case.views.items() if v.offset)
    with pytest.raises(UsageError, match="do not hold its values"):
        plan(graph, "as-is", views={**case.views, tensor: View(view.parent, view.offset - 1)})
    with pytest.raises(UsageError, match="reaches out of"):
        plan(graph, "as-is", views={**case.views, tensor: View(view.parent, 1 << 20)})
    with pytest.raises(UsageError, match="view of itself"):
        plan(graph, "as-is", views={tensor: View(tensor, 0)})
    constant = next(t for t, spec in enumerate(graph.tensors) if spec.is_constant)
    with pytest.raises(UsageError, match="no place in the arena"):
        plan(graph, "as-is", views={tensor: View(constant, 0)})


# Judges ---------------------------------------------------------------------------------------------------------------


def run_inside(graph: Graph, found: MemoryPlan, seed: int) -> dict[int, Array]:
    program = prepare(graph)
    return evaluate_in_arena(program, found, random_inputs(graph, seed), program.initial_state(), seed)


def destroys(case: Striped, found: MemoryPlan, seed: int) -> bool:
    """Whether plain execution in one block of bytes, without any watch kept, ends with other outputs."""
    graph = case.stripes
    program = prepare(graph)
    arena = np.zeros(1 << 14, np.int8)
    for round_ in range(3):

        def at(tensor: int) -> Array:
            start, spec = found.offsets[tensor], graph.tensors[tensor]
            return (
                program.constants[tensor] if start is None else arena[start : start + spec.nbytes].reshape(spec.shape)
            )

        inputs = random_inputs(graph, seed + round_)
        expected = evaluate(program, inputs, program.initial_state())
        for tensor, value in inputs.items():
            at(tensor)[...] = value
        for number in found.order:
            op = graph.ops[number]
            operands = [at(tensor).copy() for tensor in op.inputs]
            (value,) = run_operator(program, number, operands, program.initial_state())
            at(op.outputs[0])[...] = value
        if not np.array_equal(at(graph.outputs[0]), expected[graph.outputs[0]]):
            return True
    return False


def mutations(case: Striped, found: MemoryPlan, rng: random.Random) -> Iterator[MemoryPlan]:
    """A whole group moved, one tensor moved, one view said to lie elsewhere."""
    members: dict[int, list[int]] = {}
    for tensor, offset in enumerate(found.offsets):
        if offset is not None:
            members.setdefault(group_of(case, tensor)[0], []).append(tensor)
    for _ in range(12):
        group = rng.choice(list(members.values()))
        chosen = group if rng.random() < 0.6 else [rng.choice(group)]
        shift = rng.choice((-6, -2, -1, 1, 2, 3, 6, 12))
        offsets = [(o or 0) + shift if tensor in chosen else o for tensor, o in enumerate(found.offsets)]
        if min(o for o in offsets if o is not None) >= 0:
            reach = max((o or 0) + case.stripes.tensors[t].nbytes for t, o in enumerate(offsets) if o is not None)
            yield replace(found, offsets=tuple(offsets), arena_bytes=reach)


def group_of(case: Striped, tensor: int) -> tuple[int, int]:
    start = 0
    while tensor in case.views:
        start += case.views[tensor].offset
        tensor = case.views[tensor].parent
    return tensor, start


def least_arena(case: Striped) -> int:
    """The optimum by OR-Tools, from the life of every single row of every group."""
    from ortools.sat.python import cp_model

    graph, lives = case.stripes, dict[tuple[int, int], tuple[int, int]]()
    row = graph.tensors[0].shape[2] * graph.tensors[0].shape[3]

    def touch(tensor: int, position: int, start: int = 0, count: int | None = None) -> None:
        root, shift = group_of(case, tensor)
        for at in range(start, start + (graph.tensors[tensor].nbytes // row if count is None else count)):
            first, last = lives.get((root, at + shift // row), (position, position))
            lives[root, at + shift // row] = min(first, position), max(last, position)

    touch(graph.inputs[0], -1)
    for number, op in enumerate(graph.ops):
        (out,) = op.outputs
        if op.kind == "SLICE":
            start = int(np.frombuffer(graph.tensors[op.inputs[1]].data or b"", np.int32)[1])
            same = group_of(case, op.inputs[0]), group_of(case, out)
            if same[0][0] != same[1][0]:
                touch(op.inputs[0], number, start, graph.tensors[out].shape[1])
                touch(out, number)
        elif op.kind == "CONCATENATION":
            at = 0
            for tensor in op.inputs:
                if group_of(case, tensor) != (group_of(case, out)[0], group_of(case, out)[1] + at * row):
                    touch(tensor, number)
                    touch(out, number, at, graph.tensors[tensor].shape[1])
                at += graph.tensors[tensor].shape[1]
        else:
            for tensor in (*op.inputs, out):
                touch(tensor, number)
    touch(graph.outputs[0], len(graph.ops) - 1)
    model = cp_model.CpModel()
    limit = sum({root: graph.tensors[root].nbytes for root, _ in lives}.values())
    arena = model.new_int_var(0, limit, "")
    offsets = {root: model.new_int_var(0, limit, "") for root, _ in lives}
    for root, offset in offsets.items():
        model.add(offset + graph.tensors[root].nbytes <= arena)
    for (one, first_row), (other, second_row) in combinations(lives, 2):
        a, b = lives[one, first_row], lives[other, second_row]
        if one != other and a[0] <= b[1] and b[0] <= a[1]:
            under = model.new_bool_var("")
            low, high = offsets[one] + first_row * row, offsets[other] + second_row * row
            model.add(low + row <= high).only_enforce_if(under)
            model.add(high + row <= low).only_enforce_if(~under)
    model.minimize(arena)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = 5
    assert solver.solve(model) == cp_model.OPTIMAL
    value: int = round(solver.objective_value)
    return value
