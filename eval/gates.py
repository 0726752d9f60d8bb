"""Reads gates.yaml: what a candidate must hold to be promoted.

    alpha: 0.05          # chance of a false FAIL over all lines, and of a false PASS of a line
    power: 0.8           # the mde and the needed questions are for this chance
    resamples: 10000
    seed: 20261121
    min_coverage: 0.95   # share of questions that must have a judgement; a line may set its own
    metrics:
      ndcg@10: {min: 0.70, max_drop: 0.02}
      false_abstention: {max: 0.10, max_drop: 0.03, better: lower}
      leaks: {max: 0}
      latency_p95_ms: {max_ratio: 1.5}

Scores lie in [0, 1]; `min`, `max` and `max_drop` are in their unit. Amounts (latency, tokens, cost, seconds, and whatever has a
`max_ratio`) are 0 or above, in any unit, and take `max` and `max_ratio`. Which way is better: `better`, or the name of one
of our measures, or `lower` where there is a `max` or `max_ratio`, else `higher`. A drop is a change for the worse.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from indexes.errors import ConfigError, ConfigFileError

LOWER_IS_BETTER = frozenset(
    ("false_abstention", "forbidden_facts_told", "injection_obeyed", "leaks", "failed", "noise_sensitivity")
)
"""Our scores of which less is better."""

_AMOUNTS = ("latency", "tokens", "cost", "seconds")

_BOUNDS = ("min", "max", "max_drop", "max_ratio")

_RULE = (*_BOUNDS, "better", "min_coverage")

_EXAMPLE = "such as ndcg@10: {min: 0.70, max_drop: 0.02}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the gate. `lower`: less is better; `amount`: not a score in [0, 1]."""

    metric: str
    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    max_ratio: float | None = None
    lower: bool = False
    amount: bool = False
    min_coverage: float = 0.95


@dataclass(frozen=True, slots=True)
class Gates:
    """All lines, in the file's order."""

    rules: tuple[Rule, ...]
    alpha: float = 0.05
    power: float = 0.8
    resamples: int = 10_000
    seed: int = 20261121

    @property
    def digest(self) -> str:
        """What it asks, as 16 hexadecimal digits; comments and spelling do not matter, the order of lines neither."""
        content = asdict(self) | {
            "rules": sorted((asdict(rule) for rule in self.rules), key=lambda rule: rule["metric"])
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def read_gates(path: str | Path) -> Gates:
    """Return the gates of a file.

    Raises:
        ConfigFileError: the file is missing, is not YAML, or a line asks for what there is not; the message names line and metric.
    """
    import yaml

    path = Path(path)
    try:
        root: Any = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFileError(f"{path}: cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigFileError(f"{path}: is not valid YAML: {error}") from error
    lines: dict[tuple[str, ...], int] = {}
    try:
        return _parse(_plain(root, (), lines))
    except _At as error:
        known = [
            place for place in (error.place[:length] for length in range(len(error.place), 0, -1)) if place in lines
        ]
        where = f", line {lines[known[0]]}" if known else ""
        raise ConfigFileError(f"{path}{where}: {error}") from error


def parse_gates(content: object) -> Gates:
    """Return the gates of what a file holds, as plain values.

    Raises:
        ConfigError: a line asks for what there is not; the message names the metric.
    """
    try:
        return _parse(content)
    except _At as error:
        raise ConfigError(str(error)) from error


def _parse(content: object) -> Gates:
    top = {"alpha": 0.05, "power": 0.8, "resamples": 10_000, "seed": 20261121, "min_coverage": 0.95}
    values = _mapping(content, (), (*top, "metrics"), "alpha, power, resamples, seed and metrics")
    settings = top | {name: value for name, value in values.items() if name != "metrics"}
    alpha = _number(settings["alpha"], ("alpha",), 0, 0.5, "a chance such as 0.05", open_ends=True)
    power = _number(settings["power"], ("power",), 0.5, 1, "a chance such as 0.8", open_ends=True)
    resamples = _whole(settings["resamples"], ("resamples",), 999)
    seed = _whole(settings["seed"], ("seed",), 0)
    coverage = _number(settings["min_coverage"], ("min_coverage",), 0, 1, "a share such as 0.95")
    metrics = values.get("metrics")
    if not isinstance(metrics, Mapping) or not metrics:
        raise _At(("metrics",), f"names no metric; write at least one, {_EXAMPLE}")
    rules = tuple(_rule(str(name), rule, coverage) for name, rule in metrics.items())
    if resamples * alpha < 20 * len(rules):
        raise _At(
            ("resamples",), f"{resamples} is too few to tell {alpha} over {len(rules)} metrics; set 10000 or more"
        )
    return Gates(rules, alpha, power, resamples, seed)


def _rule(metric: str, content: object, coverage: float) -> Rule:
    place = ("metrics", metric)
    fields = _mapping(content, place, _RULE, "bounds, " + _EXAMPLE)
    if not any(name in fields for name in _BOUNDS):
        raise _At(place, f"{metric} has no bound; give it one of {', '.join(_BOUNDS)}")
    amount = "max_ratio" in fields or metric.startswith(_AMOUNTS)
    lower = _lower(metric, fields, amount)
    bounds: dict[str, float] = {}
    for name in (name for name in _BOUNDS if name in fields):
        where, value = (*place, name), fields[name]
        if amount and name in ("min", "max_drop"):
            raise _At(where, f"{metric} is an amount, not a score: use max_ratio or max in place of {name}")
        if name == "max_ratio":
            bounds[name] = _number(value, where, 1, math.inf, "above 1, such as 1.5", open_ends=True)
        elif name == "max_drop":
            advice = (
                "the smallest drop that matters, such as 0.02: no number of questions shows that there is none at all"
            )
            bounds[name] = _number(value, where, 0, 1, advice, open_ends=True)
        else:
            bounds[name] = _number(value, where, 0, math.inf if amount else 1, "0 or above" if amount else "in [0, 1]")
    if bounds.get("min", 0) > bounds.get("max", math.inf):
        raise _At(place, f"{metric} asks for min {bounds['min']:g} above max {bounds['max']:g}")
    own = _number(fields.get("min_coverage", coverage), (*place, "min_coverage"), 0, 1, "a share such as 0.95")
    return Rule(metric, **bounds, lower=lower, amount=amount, min_coverage=own)


def _lower(metric: str, fields: Mapping[str, object], amount: bool) -> bool:
    better = fields.get("better")
    if better not in (None, "higher", "lower"):
        raise _At(("metrics", metric, "better"), f"better of {metric} must be higher or lower, got {better!r}")
    if amount and better == "higher":
        raise _At(("metrics", metric, "better"), f"{metric} is an amount; of amounts less is better")
    if (
        better is None
        and "min" in fields
        and "max" in fields
        and "max_drop" in fields
        and metric not in LOWER_IS_BETTER
    ):
        raise _At(("metrics", metric), f"{metric} has min, max and max_drop: say which way is better (better: higher)")
    if better is not None:
        return better == "lower"
    return amount or metric in LOWER_IS_BETTER or ("max" in fields and "min" not in fields)


class _At(Exception):
    """What is wrong, and where in the file."""

    def __init__(self, place: tuple[str, ...], message: str) -> None:
        self.place = place
        super().__init__(message)


def _mapping(content: object, place: tuple[str, ...], known: tuple[str, ...], wanted: str) -> dict[str, Any]:
    name = place[-1] if place else "the gates"
    if not isinstance(content, Mapping):
        raise _At(place, f"{name} must map to {wanted}; got {content!r}")
    for field in content:
        if field not in known:
            near = get_close_matches(str(field), known, 1)
            advice = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise _At((*place, str(field)), f"{name} has no field {field}; {advice}")
    return dict(content)


def _number(
    value: object, place: tuple[str, ...], low: float, high: float, advice: str, *, open_ends: bool = False
) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if good and isinstance(value, int | float) and (low < value < high if open_ends else low <= value <= high):
        return float(value)
    raise _At(
        place, f"{' of '.join(reversed(place[-2:] if len(place) > 2 else place))} must be {advice}; got {value!r}"
    )


def _whole(value: object, place: tuple[str, ...], least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _At(place, f"{place[-1]} must be a whole number of {least} or more; got {value!r}")
    return value


def _plain(node: Any, place: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> object:
    """Turn YAML nodes into plain values, noting each key's line; a key given twice is an error, where YAML takes the last."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        found: dict[str, object] = {}
        for key, value in node.value:
            name = str(key.value)
            lines[(*place, name)] = key.start_mark.line + 1
            if name in found:
                raise _At((*place, name), f"{name} is given twice; keep one")
            found[name] = _plain(value, (*place, name), lines)
        return found
    if node is None:
        return None
    loader: Any = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise _At(place, str(error)) from error
    finally:
        loader.dispose()
    return value
