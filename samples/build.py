"""Builds the sample models: `python -m samples.build [DIRECTORY]`. Same seed, same bytes."""

from __future__ import annotations

import sys
from pathlib import Path

from samples.layers import Network
from samples.networks import NETWORKS
from samples.onnx_file import has_onnx
from samples.onnx_qdq import QdqFile
from samples.onnx_qop import QopFile
from samples.quantize import quantize
from samples.tflite_writer import write_tflite


def build(network: Network) -> dict[str, bytes]:
    """Content of every file of one network by file name."""
    quantized = quantize(network)
    files = {f"{network.name}_int8.tflite": write_tflite(quantized)}
    if has_onnx(network):
        files[f"{network.name}_qdq.onnx"] = QdqFile(quantized).write()
        files[f"{network.name}_qop.onnx"] = QopFile(quantized).write()
    return files


def main() -> None:
    """Write all files into the directory named on the command line, by default next to this module."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for create in NETWORKS.values():
        network = create()
        for name, content in build(network).items():
            (directory / name).write_bytes(content)
            print(f"{name:40} {len(content):>9,} B {network.macs:>12,} MACs")


if __name__ == "__main__":
    main()
