"""Running a graph: once, or many times with its state kept in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mcuprof.errors import ModelError
from mcuprof.graph import Graph
from mcuprof.ops.kernel import Array
from mcuprof.runner.arena import Arena, Plan
from mcuprof.runner.inputs import Given, checked
from mcuprof.runner.program import evaluate, prepare

Keep = Literal["outputs", "all"]


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """Arrays of one inference: `outputs` by name, `tensors` by index in the graph (all computed, or the outputs)."""

    outputs: dict[str, Array]
    tensors: dict[int, Array]


class Session:
    """A prepared graph with its state (LSTM, SVDF, resource variables), which runs as often as one likes.

    `plan`: run inside this memory plan and check it. Raises ModelError when an operator has no kernel, PlanError
    when the plan's order or offsets cannot be.
    """

    def __init__(self, graph: Graph, plan: Plan | None = None) -> None:
        self.graph, self.plan = graph, plan
        self.program = prepare(graph)
        self.program.require_all()
        self.arena = None if plan is None else Arena(self.program, plan)
        self.reset()

    def reset(self) -> None:
        """Forgets all state."""
        self.state = self.program.initial_state()
        self.inferences = 0

    def run(self, inputs: Given, keep: Keep = "all") -> Results:
        """One inference. `inputs`: arrays by input name, in input order, or the only one, in the model's own types.

        Raises UsageError for inputs that do not fit and PlanError when the plan breaks something.
        """
        return self.run_indexed(checked(self.graph, inputs), keep)

    def run_indexed(self, inputs: dict[int, Array], keep: Keep = "all") -> Results:
        """As `run`, for arrays by tensor index that are known to fit."""
        if self.arena is None:
            values = evaluate(self.program, inputs, self.state)
        else:
            values = self.arena.run(inputs, self.state, seed=self.inferences)
        self.inferences += 1
        absent = [index for index in self.graph.outputs if index not in values]
        if absent:
            name = self.graph.tensors[absent[0]].name
            raise ModelError(f"output {name!r} is never computed: its operators are not in an order that can run")
        outputs = {self.graph.tensors[index].name: values[index] for index in self.graph.outputs}
        if keep == "all":
            kept = {index: value for index, value in values.items() if index not in self.program.constants}
        else:
            kept = {index: values[index] for index in self.graph.outputs}
        return Results(outputs, kept)


def run(graph: Graph, inputs: Given, plan: Plan | None = None, keep: Keep = "all") -> Results:
    """One inference from a fresh state: `Session(graph, plan).run(inputs, keep)`.

    `keep="all"` returns every computed tensor; `"outputs"` lets go of the others, which a large model may need.
    """
    return Session(graph, plan).run(inputs, keep)
