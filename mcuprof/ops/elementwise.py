"""Operators that treat every element alike: arithmetic and comparison with broadcasting, selection."""

from __future__ import annotations

from mcuprof.ops.operator import Operator, broadcast

ARITHMETIC = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD")
COMPARISON = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
LOGICAL = ("LOGICAL_AND", "LOGICAL_OR", "BITWISE_XOR")
MANY = ("ADD_N", "SELECT", "SELECT_V2", "ATAN2")

OPERATORS = tuple(Operator(kind, broadcast) for kind in (*ARITHMETIC, *COMPARISON, *LOGICAL, *MANY))
