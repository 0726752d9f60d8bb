"""What one ingestion did: every source item ends in exactly one of the counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from indexes.staging import QuarantineEntry


@dataclass(frozen=True, slots=True)
class DocumentCounts:
    """Source items by what became of them."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Chunks by what became of them; `embedded` of the added ones were new to the embedding cache, `reused` were not."""

    added: int = 0
    removed: int = 0
    embedded: int = 0
    reused: int = 0


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The result of `Loremill.ingest`."""

    collection: str
    tenant: str
    build: str
    release: str
    seconds: float
    documents: DocumentCounts
    chunks: ChunkCounts
    unreadable_by_anyone: int
    quarantine: tuple[QuarantineEntry, ...]
    warnings: tuple[str, ...] = ()
    moved: int = 0
    """Documents counted as deleted whose bytes came back among the added, in another place."""
    duplicates: int = 0
    """Documents of the collection that repeat another, each under its own rights."""
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds of reading (embedding goes on beside it), of embedding after that, and of the commit."""

    def to_json(self) -> dict[str, Any]:
        """Return the contract's JSON."""
        return {
            "collection": self.collection,
            "tenant": self.tenant,
            "build": self.build,
            "release": self.release,
            "seconds": round(self.seconds, 3),
            "documents": asdict(self.documents),
            "chunks": asdict(self.chunks),
            "unreadable_by_anyone": self.unreadable_by_anyone,
            "quarantine": [entry.to_json() for entry in self.quarantine],
            "warnings": list(self.warnings),
            "moved": self.moved,
            "duplicates": self.duplicates,
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
        }
