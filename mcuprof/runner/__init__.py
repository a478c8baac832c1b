"""Floor 3: executes a graph with integer kernels, bit for bit, on plain arrays or inside a memory plan.

outputs = run(graph, {"input": array}).outputs
session = Session(graph, plan)          # for many inputs, and for models that keep state
"""

from mcuprof.runner.session import Results, Session, run

__all__ = ["Results", "Session", "run"]
