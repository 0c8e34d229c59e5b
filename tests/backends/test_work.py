"""Multiply-adds of operators from shapes, counted by hand, and of whole networks as PyTorch counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from backends import work

Shapes = Sequence[Sequence[int]]


@pytest.mark.parametrize(
    ("kind", "given", "made", "count"),
    [
        ("Conv", [(1, 8, 6, 6), (4, 2, 3, 3), (4,)], (1, 4, 6, 6), 4 * 36 * 2 * 9),  # of four groups
        ("Conv", [(1, 8, 6), (4, 8, 3)], (1, 4, 6), 4 * 6 * 8 * 3),
        ("QLinearConv", [(1, 8, 6, 6), (), (), (4, 8, 1, 1), (4,), (4,), (), ()], (1, 4, 6, 6), 4 * 36 * 8),
        ("ConvTranspose", [(1, 8, 3, 3), (8, 4, 2, 2)], (1, 4, 6, 6), 8 * 9 * 4 * 4),
        ("Gemm", [(2, 16), (16, 10)], (2, 10), 320),
        ("Gemm", [(16, 2), (10,)], (2, 10), 320),  # turned over; the packed weights are not told
        ("MatMul", [(5, 2, 16), (16, 10)], (5, 2, 10), 1600),
        ("QLinearMatMul", [(2, 16), (), (), (16, 10)], (2, 10), 320),
        ("Relu", [(1, 8)], (1, 8), 0),
        ("Einsum", [(2, 3), (3, 4)], (2, 4), None),
        ("LSTM", [(1, 1, 8)], (1, 1, 8), None),
        ("Conv", [(1, 8, 6, 6), (4,)], (1, 4, 6, 6), None),  # the bias alone is told
        ("Conv", [], (), None),
    ],
)
def test_operators_of_onnx(kind: str, given: Shapes, made: Sequence[int], count: int | None) -> None:
    assert work.in_onnx(kind, given, made) == count


def test_an_operator_of_another_domain_is_not_guessed() -> None:
    assert work.in_onnx("Attention", [(1, 8)], (1, 8), "com.microsoft") is None
    assert work.in_onnx("Relu", [(1, 8)], (1, 8), "com.example") is None
    assert work.in_onnx("DynamicQuantizeMatMul", [(2, 16), (16, 10)], (2, 10), "com.microsoft") == 320


@pytest.mark.parametrize(
    ("kind", "given", "made", "count"),
    [
        ("CONV_2D", [(1, 6, 6, 8), (4, 3, 3, 2), (4,)], (1, 6, 6, 4), 4 * 36 * 2 * 9),
        ("DEPTHWISE_CONV_2D", [(1, 6, 6, 8), (1, 3, 3, 8), (8,)], (1, 6, 6, 8), 8 * 36 * 9),
        ("TRANSPOSE_CONV", [(4,), (4, 2, 2, 8), (1, 3, 3, 8)], (1, 6, 6, 4), 8 * 9 * 4 * 4),
        ("CONV_3D", [(1, 4, 6, 6, 8), (3, 3, 3, 8, 4)], (1, 4, 6, 6, 4), 4 * 144 * 8 * 27),
        ("FULLY_CONNECTED", [(2, 16), (10, 16), (10,)], (2, 10), 320),
        ("FULLY_CONNECTED", [(2, 4, 4), (10, 16), (10,)], (2, 10), 320),
        ("BATCH_MATMUL", [(5, 2, 16), (5, 16, 10)], (5, 2, 10), 1600),
        ("BATCH_MATMUL", [(5, 16, 2), (5, 16, 10)], (5, 2, 10), 1600),
        ("BATCH_MATMUL", [(2, 16), (5, 16, 10)], (5, 2, 10), None),
        ("ADD", [(1, 8), (1, 8)], (1, 8), 0),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", [(1, 8)], (1, 8), None),
        ("WHILE", [(1, 8)], (1, 8), None),
        ("TFLite_Detection_PostProcess", [(1, 8)], (1, 8), None),
        ("CONV_2D", [(1, 6, 6, 8), []], (1, 6, 6, 4), None),
    ],
)
def test_operators_of_tflite(kind: str, given: Shapes, made: Sequence[int], count: int | None) -> None:
    assert work.in_tflite(kind, given, made) == count


@pytest.mark.parametrize(
    ("kind", "given", "made", "is_turned", "count"),
    [
        ("Convolution", [(1, 8, 6, 6), (4, 8, 3, 3)], (1, 4, 6, 6), False, 4 * 36 * 8 * 9),
        ("GroupConvolution", [(1, 8, 6, 6), (8, 1, 1, 3, 3)], (1, 8, 6, 6), False, 8 * 36 * 9),
        ("ConvolutionBackpropData", [(1, 8, 3, 3), (8, 4, 2, 2)], (1, 4, 6, 6), False, 8 * 9 * 4 * 4),
        ("GroupConvolutionBackpropData", [(1, 8, 3, 3), (2, 4, 3, 2, 2)], (1, 6, 6, 6), False, 8 * 9 * 3 * 4),
        ("MatMul", [(5, 2, 16), (16, 10)], (5, 2, 10), False, 1600),
        ("MatMul", [(5, 16, 2), (16, 10)], (5, 2, 10), True, 1600),
        ("MatMul", [], (), True, None),
        ("ScaledDotProductAttention", [(1, 8)], (1, 8), False, None),
        ("LSTMSequence", [(1, 8)], (1, 8), False, None),
        ("TensorIterator", [(1, 8)], (1, 8), False, None),
    ],
)
def test_operators_of_openvino(
    kind: str, given: Shapes, made: Sequence[int], is_turned: bool, count: int | None
) -> None:
    assert work.in_openvino(kind, given, made, is_turned) == count


@pytest.mark.parametrize(
    ("placed", "sums"),
    [([], {}), ([("a", 1), ("b", 0), ("a", 2)], {"a": 3, "b": 0}), ([("a", 1), ("b", None)], None)],
)
def test_one_unknown_makes_the_sum_unknown(placed: Any, sums: dict[str, int] | None) -> None:
    assert work.total(placed) == sums
