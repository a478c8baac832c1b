"""Other custom operators that runtimes for microcontrollers ship: detection post-processing, Ethos-U."""

from __future__ import annotations

from mcuprof.ops.operator import Operator, as_stored

OPERATORS = tuple(Operator(f"CUSTOM:{code}", as_stored) for code in ("TFLite_Detection_PostProcess", "ethos-u"))
