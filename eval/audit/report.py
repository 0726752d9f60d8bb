"""What an audit found, door by door."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

_SHOWN = 20


@dataclass(slots=True)
class DoorCount:
    """What became of the trials through one door. `told` counts canaries that came out and might: a door that tells nothing proves little."""

    trials: int = 0
    leaks: int = 0
    wrong: int = 0
    errors: int = 0
    told: int = 0
    seconds: float = 0.0

    def __add__(self, other: DoorCount) -> DoorCount:
        """Return both together."""
        return DoorCount(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(DoorCount)))

    def to_json(self) -> dict[str, Any]:
        return {
            "trials": self.trials,
            "leaks": self.leaks,
            "wrong": self.wrong,
            "errors": self.errors,
            "told": self.told,
            "ms": round(self.seconds * 1e3 / self.trials, 2) if self.trials else 0.0,
        }


@dataclass(slots=True)
class LeakAudit:
    """The outcome of an audit.

    `forbidden` sums, over all trials, the documents that were there and that the asker could not read; `operations` counts
    what was done to the world, by kind; `first` holds what the first faults were and how to see them again.
    """

    seed: int
    forbidden: int = 0
    doors: dict[str, DoorCount] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)
    first: list[dict[str, Any]] = field(default_factory=list)

    def total(self, count: str) -> int:
        """Return one count, summed over the doors."""
        return sum(getattr(door, count) for door in self.doors.values())

    @property
    def faults(self) -> int:
        """Trials with a leak, a wrong result or an error."""
        return sum(self.total(count) for count in ("leaks", "wrong", "errors"))

    @property
    def ok(self) -> bool:
        """Whether nothing was at fault, and there was something to leak and something that might be told."""
        return not self.faults and self.forbidden > 0 and self.total("told") > 0

    @property
    def upper_bound_95(self) -> float | None:
        """95 % upper bound of the share of trials that leak: 3 / N where none of N did, else None.

        Source: Hanley and Lippman-Hand, JAMA 249(13), 1983.
        """
        return min(1.0, 3 / self.independent) if self.ok else None

    @property
    def independent(self) -> int:
        """How many trials stand for themselves: here each use of a door."""
        return self.total("trials")

    def fault(self, **what: Any) -> None:
        """Remember a fault, if it is among the first."""
        if len(self.first) < _SHOWN:
            self.first.append({"seed": self.seed, **what})

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "seed": self.seed,
            **{count: self.total(count) for count in ("trials", "leaks", "wrong", "errors", "told")},
            "forbidden": self.forbidden,
            "upper_bound_95": self.upper_bound_95,
            "doors": {name: self.doors[name].to_json() for name in sorted(self.doors)},
            "operations": dict(sorted(self.operations.items())),
            "first": self.first,
        }
