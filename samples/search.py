"""Architecture search under a budget: width and resolution of a MobileNetV1 for an image task, before training any.

    pip install 'mcuprof[search]' && python -m samples.search [DEVICE] [PICTURE.png]

Optuna proposes; `mcuprof.cost_from_layers` says what a proposal would need on the device. What is maximised here is
the work a network may do (its MACs), which published width-resolution tables of MobileNet show to go with accuracy;
put the accuracy of your own short training in its place.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import mcuprof
from mcuprof.search import Cost, Layer
from mcuprof.search.layers import conv, dense, depthwise, mean, softmax

RAM_BYTES = 128 * 1024
LATENCY_MS = 300.0
TRIALS = 300
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


@dataclass(frozen=True)
class Proposal:
    """One network of the search, and what it needs. `fits`: RAM, and the upper end of the latency band."""

    width: float
    resolution: int
    cost: Cost

    @property
    def fits(self) -> bool:
        """Within both budgets."""
        ram, high = self.cost.ram_bytes, self.cost.high_ms
        return ram is not None and ram <= RAM_BYTES and high is not None and high <= LATENCY_MS


def mobilenet(width: float, classes: int = 10) -> list[Layer]:
    """MobileNet v1 (Howard et al. 2017), channels in multiples of 8."""
    net = [conv(_scaled(32, width), 3, 2, "RELU6")]
    for channels, stride in _BLOCKS:
        net += [depthwise(3, stride, "RELU6"), conv(_scaled(channels, width), 1, 1, "RELU6")]
    return [*net, mean(), dense(classes), softmax()]


def _scaled(channels: int, width: float) -> int:
    return max(8, int(channels * width + 4) // 8 * 8)


def search(device: str, trials: int = TRIALS) -> list[Proposal]:
    """All proposals, in the order in which they were made."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    target = mcuprof.device(device)
    found: list[Proposal] = []

    def objective(trial: Any) -> float:
        width = trial.suggest_float("width", 0.1, 1.0, step=0.05)
        resolution = trial.suggest_int("resolution", 48, 224, step=16)
        cost = mcuprof.cost_from_layers(mobilenet(width), target, input_shape=(resolution, resolution, 3))
        proposal = Proposal(width, resolution, cost)
        found.append(proposal)
        over = max(0.0, (cost.ram_bytes or 0) / RAM_BYTES - 1, (cost.high_ms or 0.0) / LATENCY_MS - 1)
        # Below everything that fits, and the further over the lower.
        return -over if over else cost.macs / 1e6

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=trials)
    return found


def picture(proposals: list[Proposal], device: str, path: str) -> None:
    """RAM against latency: what fits, what does not, the budgets, and the best."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for fits, color, label in ((False, "0.75", "over a budget"), (True, "tab:blue", "fits")):
        chosen = [one for one in proposals if one.fits is fits and one.cost.ms]
        sizes = [4 + one.resolution / 4 for one in chosen]
        axis.scatter(
            [one.cost.high_ms or 0.0 for one in chosen],
            [(one.cost.ram_bytes or 0) / 1024 for one in chosen],
            s=sizes,
            c=color,
            alpha=0.7,
            label=f"{label} ({len(chosen)} proposals; size: resolution)",
        )
    axis.axvline(LATENCY_MS, color="tab:red", linestyle="--", linewidth=1)
    axis.axhline(RAM_BYTES / 1024, color="tab:red", linestyle="--", linewidth=1, label="budgets")
    top = best(proposals)
    if top is not None and top.cost.high_ms is not None and top.cost.ram_bytes is not None:
        point = (top.cost.high_ms, top.cost.ram_bytes / 1024)
        words = f"best: width {top.width:.2f}, {top.resolution} px,\n{top.cost.macs / 1e6:.1f} M MACs"
        axis.scatter(*point, marker="*", s=160, color="tab:orange", zorder=3)
        axis.annotate(words, point, (12, 28), textcoords="offset points", arrowprops={"arrowstyle": "-"})
    axis.set(xscale="log", yscale="log", xlabel="latency, upper end of the band, ms", ylabel="arena + stack, KiB")
    axis.set_title(f"MobileNetV1 on {device}: width 0.1-1.0, resolution 48-224")
    axis.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=120)


def best(proposals: list[Proposal]) -> Proposal | None:
    """The most work among those that fit; None when none does."""
    return max((one for one in proposals if one.fits), key=lambda one: one.cost.macs, default=None)


def main() -> None:
    """Search, print the best, draw."""
    device, path = (*sys.argv[1:3], *("nucleo-h743zi", "search.png")[len(sys.argv[1:3]) :])
    proposals = search(device)
    top = best(proposals)
    print(f"{len(proposals)} proposals, {sum(one.fits for one in proposals)} fit {device}")
    if top is not None:
        ram, high = top.cost.ram_bytes or 0, top.cost.high_ms or 0.0
        print(f"best: width {top.width:.2f}, {top.resolution} px: {ram:,} B of RAM, at most {high:.0f} ms")
    picture(proposals, device, path)


if __name__ == "__main__":
    main()
