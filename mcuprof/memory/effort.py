"""How far a search goes: counted in work done, so that equal input gives equal bytes on any machine under any load.

Searches say what they did (`spend`) in seconds that it takes on the machine it was measured on: a 2.5 GHz server core.
On another machine they go as far, sooner or later. A limit given by hand is in seconds of the clock instead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from mcuprof.errors import UsageError


@dataclass(frozen=True, slots=True)
class Limit:
    """So many seconds of work; `by_clock`: of the clock, and how far a search comes depends on the machine."""

    seconds: float
    by_clock: bool = False

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise UsageError(f"a time limit of {self.seconds:g} s makes no sense")

    def __mul__(self, share: float) -> Limit:
        return Limit(self.seconds * share, self.by_clock)

    def start(self) -> Budget:
        """What may be spent from now on."""
        clock = _Clock() if self.by_clock else _Count()
        return Budget(clock, clock.now() + self.seconds)


def limit_of(by_hand: float | None, default: float) -> Limit:
    """`by_hand` seconds of the clock, or the default of work where nobody gave a limit."""
    return Limit(default) if by_hand is None else Limit(by_hand, by_clock=True)


class Budget:
    """What is left of a limit. Parts of it share its count: what one spends is gone for the whole."""

    __slots__ = ("_end", "_time")

    def __init__(self, clock: _Time, end: float) -> None:
        self._time, self._end = clock, end

    @property
    def left(self) -> float:
        """Seconds, never below 0."""
        return max(0.0, self._end - self._time.now())

    @property
    def over(self) -> bool:
        """True when nothing is left."""
        return self._time.now() >= self._end

    @property
    def by_clock(self) -> bool:
        """True for seconds of the clock."""
        return isinstance(self._time, _Clock)

    def part(self, share: float) -> Budget:
        """That share of what is left."""
        return Budget(self._time, self._time.now() + share * self.left)

    def spend(self, seconds: float) -> None:
        """Work was done that takes so long where it was measured."""
        self._time.add(seconds)


class _Time(Protocol):
    def now(self) -> float: ...

    def add(self, seconds: float) -> None: ...


class _Clock:
    """The machine's clock, which runs by itself."""

    def now(self) -> float:
        return time.monotonic()

    def add(self, seconds: float) -> None:
        pass


class _Count:
    """Goes on by what is added only."""

    def __init__(self) -> None:
        self._spent = 0.0

    def now(self) -> float:
        return self._spent

    def add(self, seconds: float) -> None:
        self._spent += seconds
