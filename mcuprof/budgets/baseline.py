"""The baseline: a reviewed file of what every model takes, so that growth is a decision and not an accident."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from mcuprof.budgets.amounts import Ratchet, Rule
from mcuprof.budgets.config_files import absolute
from mcuprof.document import Finding, Result, Severity, Where
from mcuprof.errors import UsageError
from mcuprof.units import format_bytes, format_ms, format_size

SCHEMA_VERSION = 1
_UPDATE = "mcuprof baseline update, and commit the file"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one model takes on one target. RAM is the smallest arena that can start plus the stack."""

    sha256: str
    ram_bytes: int
    arena_bytes: int
    flash_bytes: int
    macs: int
    latency_ms: float | None


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Keys are `path|target`, the path relative to the file's folder with forward slashes."""

    entries: dict[str, Entry] = {}
    mcuprof: str = ""
    device_db: str = ""
    schema_version: int = SCHEMA_VERSION


class _Version(msgspec.Struct, frozen=True):
    schema_version: int


def encode_baseline(baseline: Baseline) -> str:
    """The file's text: sorted, one figure per line, so that a change reviews well."""
    return msgspec.json.format(msgspec.json.encode(baseline, order="sorted"), indent=2).decode() + "\n"


def decode_baseline(data: bytes, name: str) -> Baseline:
    """The baseline in `data`. Raises UsageError, which calls it `name`, for anything else and for another version."""
    try:
        version = msgspec.json.decode(data, type=_Version).schema_version
        if version == SCHEMA_VERSION:
            return msgspec.json.decode(data, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{name}: not a baseline: {error} (`mcuprof baseline update` writes one)") from None
    advice = "update mcuprof" if version > SCHEMA_VERSION else "write it again with `mcuprof baseline update`"
    raise UsageError(f"{name}: a baseline of version {version}; this mcuprof reads {SCHEMA_VERSION}: {advice}")


def entry_key(model: str, target: str | None, folder: Path) -> str:
    """The key of a model on a target in a baseline that lies in `folder`."""
    try:
        path = os.path.relpath(absolute(model), folder)
    except ValueError:  # another drive
        path = str(absolute(model))
    text = path.replace(os.sep, "/").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return f"{text}|{target or '-'}"


def entry_of(result: Result) -> Entry:
    """The figures of `result`."""
    memory, latency = result.memory, result.latency
    milliseconds = None if latency is None or latency.ms is None else round(latency.ms, 3)
    return Entry(
        sha256=result.model.sha256,
        ram_bytes=memory.min_arena_bytes + (memory.stack_bytes or 0),
        arena_bytes=memory.arena_bytes,
        flash_bytes=result.flash.total_bytes,
        macs=result.model.macs,
        latency_ms=milliseconds,
    )


def compare(
    old: Entry | None, result: Result, ratchet: Ratchet, strict: bool = False, where: Where | None = None
) -> tuple[Finding, ...]:
    """What the ratchet says of `result`: R701 for growth, R702 for what is not in the baseline, R703 for slack in it.

    `strict` makes R702 an error and R703 a warning, for the command whose only matter is the baseline. `where` is
    the config's line for findings whose rule has none of its own.
    """
    missing: Severity = "error" if strict else "warning"
    slack: Severity = "warning" if strict else "note"
    fallback = where or msgspec.UNSET
    if old is None:
        return (Finding("R702", missing, "not in the baseline", _UPDATE, where=fallback),)
    new = entry_of(result)
    findings: list[Finding] = []
    for name, was, now, rule in (
        ("ram", old.ram_bytes, new.ram_bytes, ratchet.ram),
        ("flash", old.flash_bytes, new.flash_bytes, ratchet.flash),
        ("latency", old.latency_ms, new.latency_ms, ratchet.latency),
    ):
        line = ratchet.where.get(name, fallback)
        what = {"ram": "RAM", "flash": "flash", "latency": "latency"}[name]
        if was is None and now is None:
            continue
        if was is None:
            findings.append(Finding("R702", missing, f"the baseline has no {what} for this model", _UPDATE, where=line))
        elif now is None:
            text = f"{what} was {_figure(name, was)} and has no data now: that it did not grow is not shown"
            findings.append(Finding("R701", "error", text, "undo the change, or " + _UPDATE, where=line))
        elif rule.exceeded(was, now):
            text = f"{what} grew from {_figure(name, was)} to {_figure(name, now)}: {_growth(name, was, now, rule)}"
            findings.append(Finding("R701", "error", text, "undo the growth, or " + _UPDATE, where=line))
        elif rule.exceeded(now, was):
            text = f"{what} fell from {_figure(name, was)} to {_figure(name, now)}, and could grow back unnoticed"
            findings.append(Finding("R703", slack, text, _UPDATE, where=line))
    return tuple(findings)


def _figure(name: str, value: float) -> str:
    return format_ms(value) if name == "latency" else format_bytes(int(value))


def _growth(name: str, was: float, now: float, rule: Rule) -> str:
    change = f"+{100 * (now - was) / was:.1f} %" if was else "from nothing"
    least = format_ms(rule.least) if name == "latency" else format_size(int(rule.least))
    return f"{change}; allowed is {float(rule.share * 100):g} % or {least}, whichever is more"


def changes(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> list[tuple[str, Entry | None, Entry | None]]:
    """What differs between two sets of entries: key, before, after; sorted by key."""
    keys = sorted(old.keys() | new.keys())
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]
