"""Rows of `vela_estimates.csv`, what Arm's compiler says of a model on one NPU and system, beside our estimate."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

from mcuprof.costs import NoData
from mcuprof.costs.npu import NpuEstimate, estimate, machine
from mcuprof.graph import Graph
from mcuprof.hardware import EthosU, load_accelerator
from mcuprof.readers import read
from tests.corpus import DATA, MODELS

# The table's names of models and the corpus's; `micro_speech_quantized` and `trained_lstm_int8` are not in the corpus.
FILES = {
    "ad01_int8": "mlperf_ad01_int8",
    "resnet8_int8": "mlperf_ic_resnet8_int8",
    "kws_int8": "mlperf_kws_int8",
    "strww_int8": "mlperf_streaming_ww",
    "vww_int8": "mlperf_vww_mbv1_int8",
    "person_detect": "tflm_person_detect",
    "hello_world_int8": "tflm_hello_world_int8",
    "mobilenet_v2_quantized_1x3x224x224": "tflm_pytorch_mbv2_int8",
    "keyword_scrambled": "tflm_keyword_scrambled",
    "keyword_scrambled_8bit": "tflm_keyword_scrambled_8bit",
    "dtln_noise_suppression": "tflm_dtln_noise_suppression",
    "resnet_large_int8": "mlperf_ic_resnet_large_int8",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the model, where it runs, and the compiler's figures by column."""

    model: str
    accelerator: str
    system: str
    mode: str
    figures: dict[str, str]

    @property
    def cycles(self) -> float:
        return float(self.figures["vela_cycles_total"])

    @property
    def sram_bytes(self) -> float:
        return float(self.figures["vela_sram_memory_used"]) * 1024


@cache
def rows() -> tuple[Row, ...]:
    """All rows of the table; none where it is absent."""
    path = DATA / "vela_estimates.csv"
    if not path.is_file():
        return ()
    with path.open(newline="", encoding="utf-8") as handle:
        return tuple(
            Row(row["model"], row["accel"], row["vela_system_config"], row["vela_memory_mode"], row)
            for row in csv.DictReader(handle)
        )


@cache
def graph(name: str) -> Graph:
    """The corpus's model of that name in the table."""
    return read(MODELS / f"{FILES[name]}.tflite")


def chip(accelerator: str) -> EthosU:
    """What the database knows of an Ethos-U."""
    found = load_accelerator(accelerator).ethos_u
    assert found is not None
    return found


def estimated(row: Row) -> NpuEstimate | NoData:
    """Our estimate for what a row is about."""
    return estimate(graph(row.model), machine(chip(row.accelerator), row.system, row.mode))
