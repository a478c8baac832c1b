"""Tensors that lie inside one another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class View:
    """The tensor's bytes lie inside tensor `parent`, from its byte `offset` on."""

    parent: int
    offset: int
