"""What is wrong with a graph, in one sentence: what `soundness` and `conventions` find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Topic = Literal["operators", "activation", "quantization", "scheme", "bias"]


@dataclass(frozen=True, slots=True)
class Defect:
    """`topic` is what the defect is about; `fatal` defects make results undefined."""

    topic: Topic
    message: str
    fatal: bool = True
