"""Other custom operators that runtimes for microcontrollers ship: the command streams of Ethos-U."""

from __future__ import annotations

from mcuprof.ops.operator import Operator, as_stored

OPERATORS = (Operator("CUSTOM:ethos-u", as_stored),)
