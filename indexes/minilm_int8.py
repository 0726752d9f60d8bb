"""Ranges of all-MiniLM-L6-v2's activations, which fix the scales of its 8-bit setting.

Least and greatest input of every linear layer over 64 passages (7,800 tokens) of the sample company, in float32. What lies outside is
clipped. Other ranges are another embedding space: change them only together with `SPACE`.
"""

from __future__ import annotations

from indexes.bert_int8 import Ranges

SPACE = "int8"
"""Last part of the setting's `model_id`."""

_GELU_LEAST = -0.17
_LAYERS = (
    # queries, keys, values; attention's output layer; feed-forward part, smoothed; its output layer, greatest
    ((-2.85, 6.33), (-3.31, 2.09), (-4.01, 16.35), 24.64),
    ((-4.79, 8.13), (-2.54, 2.71), (-4.19, 16.46), 20.37),
    ((-4.82, 7.99), (-2.10, 2.75), (-5.51, 16.57), 17.50),
    ((-5.27, 9.66), (-2.21, 2.85), (-5.23, 15.79), 13.69),
    ((-6.36, 10.52), (-3.25, 2.61), (-5.01, 13.05), 7.56),
    ((-6.10, 9.90), (-3.75, 2.94), (-7.19, 9.66), 6.83),
)


def ranges() -> Ranges:
    """Return the ranges by the name of their layer."""
    found: dict[str, tuple[float, float]] = {}
    for number, (attention, attended, inner, greatest) in enumerate(_LAYERS):
        prefix = f"encoder.layer.{number}"
        found[f"{prefix}.attention.self"] = attention
        found[f"{prefix}.attention.output.dense"] = attended
        found[f"{prefix}.intermediate.dense"] = inner
        found[f"{prefix}.output.dense"] = (_GELU_LEAST, greatest)
    return found
