"""Floor 0: the network as immutable data. Knows nothing of files, devices and kernels."""

from mcuprof.graph.dtype import DType
from mcuprof.graph.graph import ABSENT, Attribute, Graph, Op, Origin, Quantization, Shape, Tensor, pack

__all__ = ["ABSENT", "Attribute", "DType", "Graph", "Op", "Origin", "Quantization", "Shape", "Tensor", "pack"]
