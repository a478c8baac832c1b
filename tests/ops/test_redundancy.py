"""What is stored or computed twice or for nobody, counted by hand."""

from __future__ import annotations

from mcuprof.graph import DType
from mcuprof.ops.redundancy import Redundancy, redundancy
from tests.graphs import Affine, graph, op, tensor

Q: Affine = {"scale": [0.5], "zero_point": [0]}
X = tensor("x", [1, 4], **Q)
Y = tensor("y", [1, 4], **Q)


def test_equal_operators_on_equal_inputs_repeat() -> None:
    """0 and 1 are equal, and through them 2 and 3; 4 has another option, 5 another input order."""
    g = graph(
        [X, Y, Y, Y, Y, Y, Y],
        [
            op("RELU", (0,), (1,)),
            op("RELU", (0,), (2,)),
            op("ADD", (1, 0), (3,), {"activation": "NONE"}),
            op("ADD", (2, 0), (4,), {"activation": "NONE"}),
            op("ADD", (2, 0), (5,), {"activation": "RELU"}),
            op("ADD", (0, 2), (6,), {"activation": "NONE"}),
        ],
        [0],
        [3, 4, 5, 6],
    )
    assert redundancy(g).repeated == (1, 3)


def test_another_quantization_of_the_output_is_another_value() -> None:
    other = tensor("y", [1, 4], scale=[0.25], zero_point=[0])
    g = graph([X, Y, other], [op("RELU", (0,), (1,)), op("RELU", (0,), (2,))], [0], [1, 2])
    assert redundancy(g) == Redundancy()


def test_state_chance_and_the_unknown_never_repeat() -> None:
    for kind in ("READ_VARIABLE", "RANDOM_UNIFORM", "CUSTOM:mine", "FFT_OF_TOMORROW"):
        g = graph([X, Y, Y], [op(kind, (0,), (1,)), op(kind, (0,), (2,))], [0], [1, 2])
        assert redundancy(g).repeated == () == redundancy(g).constant
    state = tensor("s", [1, 4], variable=True, **Q)
    g = graph([X, state, Y, Y], [op("ADD", (0, 1), (2,)), op("ADD", (0, 1), (3,))], [0], [2, 3])
    assert redundancy(g).repeated == ()


def test_operators_on_constants_and_on_shapes() -> None:
    """DEQUANTIZE of weights, what adds to it a constant, SHAPE of the input; not the ADD that reads the input."""
    weights = tensor("w", [1, 4], data=bytes(4), **Q)
    real = tensor("f", [1, 4], DType.FLOAT32)
    g = graph(
        [X, weights, real, real, tensor("s", [2], DType.INT32), Y],
        [
            op("DEQUANTIZE", (1,), (2,)),
            op("ADD", (2, 2), (3,)),
            op("SHAPE", (0,), (4,)),
            op("ADD", (0, 1), (5,)),
        ],
        [0],
        [3, 4, 5],
    )
    assert redundancy(g).constant == (0, 1, 2)


def test_unused_tensors_and_their_bytes() -> None:
    g = graph([X, Y, tensor("old", [8], data=bytes(8)), Y], [op("RELU", (0,), (1,))], [0], [1])
    found = redundancy(g)
    assert (found.unused, found.unused_bytes) == (2, 8)


def test_what_only_a_subgraph_uses_is_used_and_what_it_repeats_is_stored_twice() -> None:
    ones = b"\1" * 16
    body = graph([X, tensor("w", [16], data=ones)], [op("FILL", (1,), (0,))], [], [0])
    main = graph([X, tensor("w", [16], data=ones), Y], [op("ADD", (0, 1), (2,))], [0], [2], subgraphs=[body])
    found = redundancy(main)
    assert (found.unused, found.copies, found.copied_bytes) == (0, 1, 16)


def test_tensors_that_share_a_buffer_are_stored_once() -> None:
    weights = tensor("w", [16], data=bytes(16))
    g = graph([X, weights, weights, Y], [op("ADD", (0, 1), (3,)), op("ADD", (0, 2), (3,))], [0], [3])
    assert redundancy(g).copies == 0
