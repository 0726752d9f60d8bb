"""The encoder's linear layers in 8 bits, with scales fixed beforehand: a text's vector never depends on its batch.

Activations are unsigned bytes, one scale a tensor; weights are signed, one scale an output channel, and keep to 7 bits:
AVX2 adds pairs of products in 16 bits, which 8 bits would overflow. The channels that enter the feed-forward part differ much in
size, so each is divided by what LayerNorm's own weights foretell of it, and its weights multiplied (SmoothQuant, arXiv:2211.10438).
Attention, LayerNorm and GELU stay in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.bert_onnx import BertGraph, Weights

Ranges = Mapping[str, tuple[float, float]]
"""Least and greatest input of each linear layer, by its name; queries, keys and values share `attention.self`."""

_WEIGHT_LEVELS = 63
_SMOOTHING = 0.75
"""How much of a channel's size moves from the activations to the weights."""


class Int8BertGraph(BertGraph):
    """As `BertGraph`, with the products of all linear layers in 8 bits."""

    def __init__(self, weights: Weights, *, ranges: Ranges) -> None:
        super().__init__(weights)
        self._ranges = ranges

    def matmul(self, tensor: str, layer: str, *bias: str) -> str:
        weight = self._weights[f"{layer}.weight"]
        if layer.endswith("intermediate.dense"):
            smooth = channel_sizes(self._weights, layer)
            tensor = self.op("Mul", [tensor, self.constant(f"{layer}.smooth", 1 / smooth)], f"{layer}.smoothed")
            weight = weight * smooth
        return self.product(self.quantised(tensor, layer), weight, layer, *bias)

    def biased(self, tensor: str, layer: str) -> str:
        return self.matmul(tensor, layer, self.weight(f"{layer}.bias"))

    def attention(self, tensor: str, prefix: str, heads: int) -> str:
        layer = f"{prefix}.attention.self"
        quantised = self.quantised(tensor, layer)
        parts = [f"{layer}.{name}" for name in ("query", "key", "value")]
        inputs = [
            self.product(quantised, self._weights[f"{part}.weight"], part, self.weight(f"{part}.bias"))
            for part in parts
        ]
        return self.op("MultiHeadAttention", inputs, f"{prefix}.attended", fused=True, num_heads=heads)

    def quantised(self, tensor: str, layer: str) -> tuple[str, str, str]:
        """Return the bytes of `tensor`, their scale and their zero point."""
        low, high = self._ranges[layer]
        step = (high - low) / 255
        scale = self.constant(f"{layer}.in.scale", np.float32(step))
        zero = self.constant(f"{layer}.in.zero", np.uint8(round(-low / step)))
        return self.op("QuantizeLinear", [tensor, scale, zero], f"{layer}.in"), scale, zero

    def product(self, quantised: tuple[str, str, str], weight: npt.NDArray[Any], layer: str, *bias: str) -> str:
        """Multiply by `weight`, shape (out, in), and return to float32, plus the bias if there is one."""
        tensor, scale, zero = quantised
        steps = np.abs(weight).max(axis=1) / _WEIGHT_LEVELS
        levels = self.constant(f"{layer}.weight", np.round(weight.T / steps).astype(np.int8))
        inputs = [tensor, levels, scale, self.constant(f"{layer}.scale", steps.astype(np.float32)), zero, "", *bias]
        return self.op("MatMulIntegerToFloat", inputs, f"{layer}.out", fused=True)


def channel_sizes(weights: Weights, layer: str) -> npt.NDArray[np.float32]:
    """Foretell how large each channel is that enters a feed-forward part, relative to the weights that meet it, geometric mean 1."""
    norm = layer.replace("intermediate.dense", "attention.output.LayerNorm")
    reach = 3 * np.abs(weights[f"{norm}.weight"]) + np.abs(weights[f"{norm}.bias"])
    sizes = reach**_SMOOTHING / np.abs(weights[f"{layer}.weight"]).max(axis=0) ** (1 - _SMOOTHING)
    return np.asarray(sizes / np.exp(np.log(sizes).mean()), np.float32)
