"""What the report document says of cost beyond time: arithmetic and roofline, energy, early exits.

A number without a basis is null, as in `mcuprof.document`, whose `Result` holds these.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Bound = Literal["compute", "memory"]


class OperatorWork(msgspec.Struct, frozen=True):
    """Where one operator lies under the roofline. Bits are those of the operands of its MACs, null where it has none.

    `bytes_moved` are inputs, weights and outputs, each once: the least it can move. `macs_per_cycle` comes from the
    modelled cycles, `of_ceiling` is that against the lowest ceiling of its types. `bound` is what limits it, null where
    no bandwidth is known.
    """

    index: int
    operator: str
    macs: int
    bops: int
    activation_bits: int | None
    weight_bits: int | None
    bytes_moved: int
    macs_per_byte: float | None
    macs_per_cycle: float | None
    of_ceiling: float | None
    bound: Bound | None


class Precision(msgspec.Struct, frozen=True):
    """The MACs whose operands have these types, such as int8 activations and int4 weights."""

    activations: str
    weights: str
    macs: int
    bops: int


class Ceiling(msgspec.Struct, frozen=True):
    """The most MACs per cycle that something allows for operands of these types: the core, or its kernels."""

    name: str
    activations: str
    weights: str
    macs_per_cycle: float
    basis: str


class Arithmetic(msgspec.Struct, frozen=True):
    """Bit operations, precisions and the roofline of one inference. `bytes_per_cycle` is null where nobody says it."""

    bops: int
    bytes_moved: int
    precisions: tuple[Precision, ...]
    ceilings: tuple[Ceiling, ...]
    bytes_per_cycle: float | None
    bandwidth_basis: str
    basis: str
    operators: tuple[OperatorWork, ...]


class Energy(msgspec.Struct, frozen=True):
    """Microjoules of one inference with their band, on a board fed as `supply` says."""

    supply: str
    uj: float
    low_uj: float
    high_uj: float
    basis: str


class Exit(msgspec.Struct, frozen=True):
    """An inference that stops at this output: what it has run by then. `rate` is the share of those that do."""

    output: str
    rate: float
    operators: int
    macs: int
    instructions: int | None
    cycles: int | None
    ms: float | None
    low_ms: float | None
    high_ms: float | None


class Exits(msgspec.Struct, frozen=True):
    """Early exits, the cheapest first, and the cost of an inference on average."""

    exits: tuple[Exit, ...]
    macs: float
    instructions: float | None
    cycles: float | None
    ms: float | None
    low_ms: float | None
    high_ms: float | None
    basis: str
