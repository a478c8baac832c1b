"""What `mcuprof plan` prints: the arena before and after, what it relies on, what was proven, and the size to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcuprof.errors import UsageError
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import head, prose
from mcuprof.units import format_bytes

if TYPE_CHECKING:
    from mcuprof.cli.plan import Job
    from mcuprof.planning import Planned, Pruned


def report(page: Page, job: Job, planned: Planned | None, pruned: Pruned | None = None) -> list[Line]:
    """The block for one .tflite model; `planned` is None when it keeps the plan that it carries.

    `pruned` says what was taken out of the model before it was planned.
    """
    if planned is None:
        arena = job.firmware.arena(job.graph)
        kept = "carries an offline plan already: kept as it is (--force replaces it, --strip takes it out)"
        return [
            *title(page, job),
            *prose(page, "plan", kept),
            *prose(page, "arena", f"{format_bytes(arena.min_arena_bytes)}, head {arena.head_bytes:,} B"),
            *outcome(page, job, "a copy"),
        ]
    before, after, plan = planned.before, planned.after, planned.plan
    less = [] if pruned is None else prose(page, "pruned", went(pruned), limit=None)
    proof = [row for step in planned.steps for row in prose(page, "proof", step.text, limit=None)]
    if plan is None:
        text = "TFLM's own plan is as good as any found under these rules: nothing to change"
        size = f"{format_bytes(after.min_arena_bytes)}, head {after.head_bytes:,} B"
        if after.min_arena_bytes < before.min_arena_bytes:
            size = f"{before.min_arena_bytes:,} B -> {size}"
        return [
            *title(page, job),
            *less,
            *prose(page, "plan", text),
            *prose(page, "arena", size),
            *proof,
            *outcome(page, job, _without_plan(job, pruned)),
        ]
    saved = before.min_arena_bytes - after.min_arena_bytes
    gain = f"saves {saved:,} B, {100 * saved / max(1, before.min_arena_bytes):.0f} %"
    if saved <= 0:
        gain = "saves nothing: to start up, the interpreter needs as much as before"
    order = "as in the file" if not planned.moved else f"{planned.moved} of {len(plan.order)} operators moved"
    return [
        *title(page, job),
        *less,
        line(
            head("arena"),
            f"{before.min_arena_bytes:,} B -> ",
            Piece(format_bytes(after.min_arena_bytes), "strong"),
        ),
        line(head(""), Piece(gain, "good" if saved > 0 else "bad")),
        *prose(page, "head", f"{before.head_bytes:,} B -> {after.head_bytes:,} B ({plan.certificate})"),
        *prose(page, "order", order),
        *prose(page, "sharing", _sharing(planned), limit=None),
        *proof,
        *prose(page, "use", f"alignas(16) uint8_t arena[kTensorArenaSize]; kTensorArenaSize = {after.min_arena_bytes}"),
        *outcome(page, job, "written" if job.emit is None else f"the plan as {job.emit}"),
    ]


def went(pruned: Pruned, equal: str = "every output equal") -> str:
    """What the pruned model has less of, and what is `equal`; the file's operators are otherwise as before."""
    counts = pruned.summary
    pairs = {
        "operators": counts.operators,
        "channels": counts.channels,
        "MACs": counts.macs,
        "B of weights": counts.constant_bytes,
        "B of file": pruned.file_bytes,
    }
    less = [f"{was:,} -> {now:,} {name}" for name, (was, now) in pairs.items() if now != was]
    return f"{', '.join(less)}; {equal} (--no-prune-dead keeps them)"


def _sharing(planned: Planned) -> str:
    if not planned.kernels:
        return "no output overlaps an input: holds for any kernels that need no more scratch"
    return (
        f"{planned.sharing} operators write over bytes of an input that they have read: holds for {planned.kernels} "
        "kernels only; plan again for another library, core or compiler"
    )


def title(page: Page, job: Job) -> list[Line]:
    """The model and the firmware."""
    return [line(Piece(page.fit(page.clean(job.model), page.width), "strong")), *prose(page, "for", job.firmware_name)]


def _without_plan(job: Job, pruned: Pruned | None) -> str:
    if job.emit:
        return "the plan, for other runtimes"
    return "a copy without a plan" if pruned is None else "written, without a plan"


def outcome(page: Page, job: Job, what: str) -> list[Line]:
    """Which file was written, and what is in it."""
    if job.target is None:
        return prose(page, "file", "nothing written: name a file with -o")
    return prose(page, "file", f"{job.target} ({what})")


def shared_lines(page: Page, planned: list[Planned]) -> list[Line]:
    """The block for one arena of several models. Raises UsageError when there are not several."""
    from mcuprof.planning import share_arena

    if len(planned) < 2:
        raise UsageError("--share-arena needs several .tflite models that carry no plan yet (or --force)")
    shared = share_arena([outcome.after for outcome in planned])
    apart = sum(outcome.before.min_arena_bytes for outcome in planned)
    return [
        line(Piece(f"one arena for {len(planned)} models", "strong")),
        *prose(page, "in turn", f"{format_bytes(shared.rebuilt_bytes)}: each interpreter is built anew when it runs"),
        *prose(page, "loaded", f"{format_bytes(shared.together_bytes)}: all stay, on one MicroAllocator (upper bound)"),
        *prose(page, "apart", f"{format_bytes(apart)}: an arena each, without these plans"),
    ]
