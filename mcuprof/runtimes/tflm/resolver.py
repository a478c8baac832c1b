"""The C++ that registers exactly the operators of a model with TFLM: `MicroMutableOpResolver<N>` and its AddX() calls.

Method names are those of tflite-micro's micro_mutable_op_resolver.h.
"""

from __future__ import annotations

import re

from mcuprof.graph import Graph
from mcuprof.runtimes.tflm.support import has_kernel

_NAMES = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
    "CUSTOM:TFLite_Detection_PostProcess": "DetectionPostprocess",
    "CUSTOM:ethos-u": "EthosU",
}
_SIGNAL = "CUSTOM:Signal"


def kinds(graph: Graph) -> tuple[str, ...]:
    """The operator kinds of the graph and its subgraphs, each once, by name."""
    return tuple(sorted({op.kind for part in (graph, *graph.subgraphs) for op in part.ops}))


def call(kind: str) -> str:
    """The registration of one operator kind; a custom operator of the user's own names a function that is theirs."""
    if kind in _NAMES:
        return f"Add{_NAMES[kind]}()"
    if kind.startswith(_SIGNAL) and has_kernel(kind):
        return f"Add{_word(kind.removeprefix(_SIGNAL))}()"
    if kind.startswith("CUSTOM:"):
        code = kind.removeprefix("CUSTOM:")
        escaped = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else _octal(c) for c in code)
        return f'AddCustom("{escaped}", Register_{_word(code)}())'
    return "Add" + "".join(word if word[0].isdigit() else word.capitalize() for word in kind.split("_")) + "()"


def resolver(graph: Graph) -> str:
    """C++ that makes a resolver for exactly the operators of `graph`; ends in a newline.

    Builtin operators that TFLM lacks become comments.
    """
    found = [kind for kind in kinds(graph) if has_kernel(kind) or kind.startswith("CUSTOM:")]
    lacking = [kind for kind in kinds(graph) if kind not in found]
    lines = [
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"',
        "",
        f"tflite::MicroMutableOpResolver<{max(1, len(found))}> resolver;",
        *(f"resolver.{call(kind)};" for kind in found),
        *(f"// {_word(kind)}: TFLM has no kernel for it" for kind in lacking),
    ]
    return "\n".join(lines) + "\n"


def _word(text: str) -> str:
    return re.sub(r"\W", "_", text, flags=re.ASCII)


def _octal(character: str) -> str:
    """A character inside a C string: three octal digits per byte, which no following digit can extend."""
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogatepass"))
