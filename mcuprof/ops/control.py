"""State and control flow: resource variables, CALL_ONCE, IF, WHILE. Shapes as stored; the work is in the subgraphs."""

from __future__ import annotations

from mcuprof.ops.operator import Operator, as_stored

OPERATORS = tuple(
    Operator(kind, as_stored)
    for kind in ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE", "CALL")
)
