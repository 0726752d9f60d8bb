"""Past gates in the order of time: verdicts, and each metric's value in the candidate.

runs = read_trend([Path("reports")])
runs.to_json(), trend_html(runs)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval.gate_metrics import Verdict
from indexes.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Value:
    """One metric of one run. `interval` is the baseline's value plus the interval of the difference: it shows what the run could tell."""

    candidate: float | None
    difference: float | None
    interval: tuple[float, float] | None
    verdict: str

    def to_json(self) -> dict[str, Any]:
        return {
            "candidate": self.candidate,
            "difference": self.difference,
            "interval": list(self.interval) if self.interval else None,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Run:
    """One report.json."""

    path: str
    created: str
    verdict: str
    candidate: str
    baseline: str
    dataset: str
    metrics: Mapping[str, Value]

    def to_json(self) -> dict[str, Any]:
        head = {
            name: getattr(self, name) for name in ("created", "verdict", "candidate", "baseline", "dataset", "path")
        }
        return head | {"metrics": {name: value.to_json() for name, value in self.metrics.items()}}


@dataclass(frozen=True, slots=True)
class Trend:
    """Runs, oldest first, by path where made at the same time. `broken` are files that are no gate's report: path and why."""

    runs: tuple[Run, ...]
    broken: Mapping[str, str]

    @property
    def metrics(self) -> list[str]:
        """The names of all metrics, in the order in which they first appear."""
        return list(dict.fromkeys(name for run in self.runs for name in run.metrics))

    def to_json(self) -> dict[str, Any]:
        return {
            "runs": [run.to_json() for run in self.runs],
            "broken": [{"path": path, "error": error} for path, error in self.broken.items()],
        }


def read_trend(folders: Iterable[str | Path]) -> Trend:
    """Read every report.json in or below the folders; a folder may also be a report.json itself.

    Raises:
        ConfigError: a folder is not there, or no file in them can be read as a gate's report.
    """
    places = [Path(folder) for folder in folders]
    runs: list[Run] = []
    broken: dict[str, str] = {}
    for path in _reports(places):
        try:
            runs.append(_run(path))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            broken[str(path)] = str(error) or type(error).__name__
    if not runs:
        why = "; ".join(f"{path}: {error}" for path, error in list(broken.items())[:3]) or "there is no report.json"
        raise ConfigError(
            f"no gate's report in {', '.join(map(str, places)) or 'no folder'} ({why}); name the folders that `loremill eval gate --out` wrote"
        )
    return Trend(tuple(sorted(runs, key=lambda run: (_moment(run.created), run.path))), broken)


def _reports(folders: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.exists():
            raise ConfigError(f"no such folder: {folder}")
        paths = [folder] if folder.is_file() else sorted(folder.rglob("report.json"))
        for path in paths:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _run(path: Path) -> Run:
    data = json.loads(path.read_bytes())
    if not isinstance(data, Mapping) or "verdict" not in data:
        raise ValueError("is no gate's report: it has no verdict")
    metrics, times = data.get("metrics"), data.get("times")
    if not isinstance(metrics, Mapping) or not isinstance(times, Mapping):
        raise ValueError("is no gate's report: metrics or times are missing")
    created = str(times.get("created", ""))
    _moment(created)
    return Run(
        path=str(path),
        created=created,
        verdict=Verdict(data["verdict"]).value,
        candidate=str(data.get("candidate", "")),
        baseline=str(data.get("baseline", "")),
        dataset=str(data.get("dataset", "")),
        metrics={str(name): _value(str(name), metric) for name, metric in metrics.items()},
    )


def _value(name: str, metric: object) -> Value:
    if not isinstance(metric, Mapping):
        raise ValueError(f"metric {name} is no object")
    baseline, interval = _number(name, metric.get("baseline")), metric.get("interval")
    ends = None
    if interval is not None and baseline is not None:
        if not isinstance(interval, list) or len(interval) != 2:
            raise ValueError(f"the interval of metric {name} is not two numbers")
        low, high = (_number(name, end) for end in interval)
        ends = (round(baseline + low, 6), round(baseline + high, 6)) if low is not None and high is not None else None
    candidate, difference = _number(name, metric.get("candidate")), _number(name, metric.get("difference"))
    return Value(candidate, difference, ends, Verdict(str(metric.get("verdict"))).value)


def _number(name: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"metric {name} has {value!r} where a number should be")
    return float(value)


def _moment(created: str) -> datetime:
    moment = datetime.fromisoformat(created)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
