"""An erasure that has begun, what came of it, and what a look at it afterwards says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import ConfigFileError
from rag.erasure.target import Target
from rag.lore.items import Receipt

if TYPE_CHECKING:
    from rag.raw_files import RawScan, Sighting


@dataclass(frozen=True, slots=True)
class Erasure:
    """What came of an erasure: the receipt, the file it is kept in, and where something of it is still to be found."""

    receipt: Receipt
    file: Path
    found: tuple[Sighting, ...]

    def to_json(self) -> dict[str, Any]:
        from rag.receipts import to_json

        return to_json(self.receipt) | {"file": str(self.file), "found": [each.to_json() for each in self.found]}


@dataclass(frozen=True, slots=True)
class ErasureVerdict:
    """Whether a receipt is as it was issued, and whether it is true: nothing of what it speaks of is in the tenant's files or the home's own.

    `notes` of the scan say what it could not look at.
    """

    receipt: Receipt
    sealed: bool
    scan: RawScan | None

    @property
    def ok(self) -> bool:
        return self.sealed and self.scan is not None and not self.scan.found and not self.scan.unread

    def to_json(self) -> dict[str, Any]:
        scan = self.scan
        return {
            "ok": self.ok,
            "receipt": self.receipt.id,
            "about": self.receipt.about,
            "at": self.receipt.at.isoformat(),
            "sealed": self.sealed,
            "files": 0 if scan is None else scan.files,
            "bytes": 0 if scan is None else scan.bytes,
            "found": [] if scan is None else [each.to_json() for each in scan.found],
            "unread": [] if scan is None else list(scan.unread),
            "notes": [] if scan is None else [*self.receipt.notes, *scan.notes],
        }


@dataclass(frozen=True, slots=True)
class Pending:
    """An erasure that has begun: what for, the receipt as it will be, and the fingerprints by which repetitions are known."""

    target: Target
    receipt: Receipt
    repeats: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        from rag.receipts import to_json

        return {"target": self.target.to_json(), "receipt": to_json(self.receipt), "repeats": list(self.repeats)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pending:
        from rag.receipts import from_json

        return cls(Target.from_json(data["target"]), from_json(data["receipt"]), tuple(data["repeats"]))


def read_pending(path: Path) -> Pending:
    try:
        return Pending.from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigFileError(f"{path}: cannot be read ({error}); remove it, and run the erasure again") from error
