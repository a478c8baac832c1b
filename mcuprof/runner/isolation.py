"""A foreign runtime in a process of its own: when it crashes on a model, mcuprof says so and goes on.

TFLM's Python module aborts or segfaults on graphs that it does not check. Where the system cannot fork (Windows), the
runtime works in this process as before.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from mcuprof.errors import ModelError


class Isolated:
    """The object that `make` gives, living in a forked child; `call` reaches its methods there.

    Arguments and results go through a pipe, so they must pickle. Errors of the object are raised here again, and
    ModelError, naming `what`, when the child dies. A context manager: leaving it ends the child.
    """

    def __init__(self, what: str, make: Callable[[], object]) -> None:
        self._what = what
        self._local: object | None = None
        self._process: Any = None
        self._owner = os.getpid()
        if not hasattr(os, "fork"):
            self._local = make()
            return
        import multiprocessing

        context: Any = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._pipe, make), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def call(self, method: str, *arguments: Any) -> Any:
        """What the object's `method` gives for `arguments`."""
        if self._process is None:
            return getattr(self._local, method)(*arguments)
        try:
            self._pipe.send((method, arguments))
        except BrokenPipeError:
            self._died()
        return self._answer()

    def _answer(self) -> Any:
        try:
            result, error = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._died()
        if error is not None:
            raise error
        return result

    def _died(self) -> None:
        self._process.join()
        code = self._process.exitcode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ModelError(f"{self._what} crashed on the model ({how})")

    def close(self) -> None:
        """Ends the child. Does nothing in another child, which has but inherited this object."""
        if self._process is not None and self._owner == os.getpid() and self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def __enter__(self) -> Isolated:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _serve(pipe: Any, parent: Any, make: Callable[[], object]) -> None:
    """The child: makes the object, then answers calls until nobody asks any more."""
    # Ctrl-C reaches the parent too, which then ends this process; SIGTERM ends it at once, also inside C++.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent.close()
    # What the runtime prints from C++ goes nowhere; what Python says on stderr goes where it went.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    held: list[object] = []
    request: tuple[str, tuple[Any, ...]] | None = None
    while True:
        try:
            if request is None:
                held.append(make())
                answer: tuple[Any, BaseException | None] = (None, None)
            else:
                answer = (getattr(held[0], request[0])(*request[1]), None)
        except Exception as error:
            answer = (None, _portable(error))
        try:
            pipe.send(answer)
            request = pipe.recv()
        except (EOFError, OSError):
            return


def _portable(error: Exception) -> Exception:
    """The error itself if it survives the pipe, else one with its text."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(str(error))
    return error
