"""Shares of a network's work that a runtime may do faster or slower than the kernels that were counted.

One factor per share is what a handful of published latencies can tell; a factor per kernel class would not be.
"""

from __future__ import annotations

SHARES = ("conv", "conv1x1", "dwconv", "fc", "other")


def share(kernel: str) -> str:
    """The share that kernel class `kernel` counts to, such as `conv1x1` for `conv_s8:1x1`."""
    family, _, path = kernel.partition(":")
    name = family.split("_")[0]
    if name == "conv":
        return "conv1x1" if path.startswith("1x1") else "conv"
    if name == "dwconv":
        return "dwconv"
    return "fc" if name == "fc" else "other"
