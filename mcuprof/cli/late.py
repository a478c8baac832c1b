"""Packages that a command imports on first use. NumPy takes as long to import as all the rest of a check, which needs
it only for models with odd constants; every module may still `import numpy as np` at its top.

Python 3.15 has this as `lazy import` (PEP 810). `importlib.util.LazyLoader` would not do: a second `import` of the
module already loads it, since that looks at `__spec__`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def postpone(name: str) -> None:
    """Let `import` of the top-level package `name` cost nothing until one of its attributes is asked for.

    Does nothing when it is imported already or not installed. For whole processes of ours: libraries do not do this.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is not None:
        module = sys.modules[name] = _Late(name)
        module.__spec__ = spec


class _Late(ModuleType):
    """Stands for a package in `sys.modules` and in the modules that imported it meanwhile."""

    def __getattr__(self, attribute: str) -> Any:
        name = self.__name__
        if sys.modules.get(name) is self:
            del sys.modules[name]
        real = import_module(name)
        value = getattr(real, attribute)
        self.__dict__.update(vars(real))  # from now on, nothing comes this way
        return value
