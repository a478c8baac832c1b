"""The error family and its exit codes.

Every failure a user can cause is one of these; the command line prints its message on one line and exits with
`exit_code`. Anything else is a defect of mcuprof and exits with 4.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_FITS = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_MODEL = 3
EXIT_INTERNAL = 4


class McuprofError(Exception):
    """Base of all errors that mcuprof raises on purpose. The message is one line, complete, and names the culprit."""

    exit_code: ClassVar[int] = EXIT_INTERNAL


class UsageError(McuprofError):
    """The request does not make sense: unknown device, negative size, contradicting options, broken config."""

    exit_code: ClassVar[int] = EXIT_USAGE


class DeviceError(UsageError):
    """A device that does not exist, or a device file that breaks the schema."""


class ModelError(McuprofError):
    """The model cannot be read, or is not one that mcuprof can judge."""

    exit_code: ClassVar[int] = EXIT_MODEL


class PlanError(McuprofError):
    """A memory plan that overwrites what is still needed, or reads what was never written, when it is executed."""

    exit_code: ClassVar[int] = EXIT_FAILED
