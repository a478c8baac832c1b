"""What is wrong with a graph, in one sentence: what `soundness` and `conventions` find."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Topic = Literal["operators", "activation", "quantization", "scheme", "bias"]


@dataclass(frozen=True, slots=True)
class Defect:
    """`topic` is what the defect is about; `fatal` defects make results undefined.

    `text` is said of operator number `op` of its graph, of its `kind` unless the text names that, or of the tensor of
    this name; of neither where it is a sentence of its own.
    """

    topic: Topic
    text: str
    fatal: bool = True
    op: int | None = None
    kind: str = ""
    tensor: str | None = None

    def at(self, op: int, kind: str = "") -> Defect:
        """The same defect, found at this operator."""
        return replace(self, op=op, kind=kind)

    @property
    def message(self) -> str:
        """The whole sentence."""
        return self.said_of(f"operator {self.op}")

    def said_of(self, operators: str) -> str:
        """The sentence with `operators` in place of its own: several may share a defect."""
        if self.op is not None:
            return f"{operators} ({self.kind}) {self.text}" if self.kind else f"{operators}: {self.text}"
        return self.text if self.tensor is None else f"tensor {self.tensor!r} {self.text}"
