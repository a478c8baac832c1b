"""Foreign runtimes in processes of their own: children that are forked while others live must leave those alone."""

from __future__ import annotations

import os
import signal

import pytest

from mcuprof.errors import ModelError
from mcuprof.runner.isolation import Isolated

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="without fork, a runtime works in this process")


class Counter:
    """Something with state, in the child."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        self.count += 1
        return self.count

    def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_child_does_not_end_another() -> None:
    """It inherits the object, and may drop it: `close` and `__del__` are then none of its business."""
    with Isolated("first", Counter) as first:

        def make() -> Counter:
            first.close()
            return Counter()

        with Isolated("second", make) as second:
            assert (first.call("add"), first.call("add"), second.call("add")) == (1, 2, 1)


def test_a_crash_is_told() -> None:
    with Isolated("it", Counter) as found, pytest.raises(ModelError, match=r"it crashed on the model \(signal 9\)"):
        found.call("crash")
