from __future__ import annotations

from pathlib import Path

import pytest

import mcuprof
from samples.search import Proposal, best, mobilenet, picture, search

pytest.importorskip("optuna", reason="Optuna is not installed (pip install 'mcuprof[search]')")
DEVICE = "nucleo-h743zi"


@pytest.mark.slow
def test_the_search_comes_close_to_trying_everything(tmp_path: Path) -> None:
    device = mcuprof.device(DEVICE)
    everything = [
        Proposal(width / 20, size, mcuprof.cost_from_layers(mobilenet(width / 20), device, input_shape=(size, size, 3)))
        for width in range(2, 21)
        for size in range(48, 225, 16)
    ]
    top = best(everything)
    found = search(DEVICE, trials=80)
    chosen = best(found)
    assert top is not None and chosen is not None and len(found) == 80
    assert 0.8 * top.cost.macs <= chosen.cost.macs <= top.cost.macs
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    picture(found, DEVICE, str(tmp_path / "p.png"))
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
