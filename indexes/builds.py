"""Builds: immutable, content-addressed indexes over one corpus state and one index configuration.

    builds/<build_id>/manifest.json     what it is made of, with sizes of its files
                      rows.npz          row -> chunk id, document ordinal, ACL class at build time
                      documents.json    document ordinal -> document id
                      vectors.index     the vector backend's file
                      lexical/          tantivy, and the forward index

A build is written aside under a temporary name, synced, and renamed into place; a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from indexes.access import UNREADABLE, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.batches import batched
from indexes.errors import BuildCorrupt, IndexBackendError
from indexes.lexical import ANALYSIS, LexicalIndex, LexicalRow, build_lexical
from indexes.siblings import Siblings
from indexes.vectors import VectorIndex, vector_backend
from indexes.vocabulary import digest_all

FORMAT = 1
_BLOCK_ROWS = 4096


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """What, beside the chunks, decides a build: the same chunks under the same configuration are the same build."""

    embedder: str
    dim: int
    chunker: str
    vector_index: str
    analysis: str = ANALYSIS
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first thing read of a build."""

    build_id: str
    rows: int
    documents: int
    config: BuildConfig

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        return cls(data["build_id"], data["rows"], data["documents"], BuildConfig(**data["config"]))


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """What a build's id is made of, for one chunk."""

    chunk_id: str
    document_id: str
    embed_hash: str


@dataclass(frozen=True, slots=True)
class BuildRow:
    """One chunk as a build holds it; `place` is title and headings."""

    chunk_id: str
    document_id: str
    acl_class: int
    place: str
    text: str


class Corpus(Protocol):
    """What a build is made of. The streams run by ascending chunk id; row i of the build is their i-th."""

    def document_ids(self) -> list[str]: ...

    def keys(self) -> Iterable[ChunkKey]: ...

    def rows(self) -> Iterable[BuildRow]: ...

    def vectors(self) -> Iterable[bytes]:
        """Each row's vector: float32, little-endian."""


def build_id(keys: Iterable[ChunkKey], config: BuildConfig) -> str:
    """Return 16 hex digits naming the build of these chunks (by ascending chunk id) under this configuration."""
    head = json.dumps(asdict(config), sort_keys=True)
    return digest_all([head], (f"{key.chunk_id} {key.document_id} {key.embed_hash}" for key in keys))[:16]


def write_build(folder: Path, corpus: Corpus, *, config: BuildConfig) -> Manifest:
    """Write the build of `corpus` into `folder` under its id, unless it is there already; one that is damaged is written again.

    It is written aside, opened to see that it is whole, and renamed.

    Args:
        folder: holds the collection's builds.
    Raises:
        IndexBackendError: the disk is full or the folder cannot be written; nothing half-written is left under the build's name.
        BuildCorrupt: what was written does not agree with itself.
    Cost: memory for the vectors once, and 40 bytes a row.
    """
    name = build_id(corpus.keys(), config)
    target = folder / name
    if is_whole(target):
        return Build(target).manifest
    aside = folder / f".{name}.{os.getpid()}.tmp"
    shutil.rmtree(aside, ignore_errors=True)  # in a container a run that crashed may have had the same process id
    try:
        aside.mkdir(parents=True)
        manifest = _write_files(aside, name, corpus, config)
        Build(aside)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(aside, target)
        _sync(folder)
    except (OSError, ValueError, RuntimeError) as error:  # tantivy and FAISS report a full disk as the latter two
        raise IndexBackendError(f"build {name} could not be written: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return manifest


def _write_files(folder: Path, name: str, corpus: Corpus, config: BuildConfig) -> Manifest:
    document_ids = corpus.document_ids()
    (folder / "documents.json").write_text(json.dumps(document_ids), "utf-8")
    rows = _Rows({document_id: ordinal for ordinal, document_id in enumerate(document_ids)})
    build_lexical(rows.through(corpus.rows()), folder / "lexical")
    np.savez(folder / "rows.npz", chunk_ids=rows.chunk_ids(), documents=rows.documents(), classes=rows.classes())
    vector_backend(config.vector_index).build(
        _blocks(corpus.vectors(), config.dim), config.dim, folder / "vectors.index", classes=rows.classes()
    )
    manifest = Manifest(name, len(rows), len(document_ids), config)
    files = {name: {"bytes": size, "sha256": _sha256(folder / name)} for name, size in _sizes(folder).items()}
    (folder / "manifest.json").write_text(json.dumps(manifest.to_json() | {"files": files}, indent=1), "utf-8")
    for path in (folder, *folder.rglob("*")):
        _sync(path)
    return manifest


class _Rows:
    """Collects, in a few bytes a row, what leads from a row back to its chunk while the rows pass by."""

    def __init__(self, ordinals: Mapping[str, int]) -> None:
        self._ordinals = ordinals
        self._chunk_ids = bytearray()
        self._documents = array("i")
        self._classes = array("i")

    def through(self, rows: Iterable[BuildRow]) -> Iterator[LexicalRow]:
        for row in rows:
            ordinal = self._ordinals[row.document_id]
            self._chunk_ids += row.chunk_id.encode("ascii")
            self._documents.append(ordinal)
            self._classes.append(row.acl_class)
            yield LexicalRow(ordinal, max(0, row.acl_class), row.place, row.text)

    def __len__(self) -> int:
        return len(self._documents)

    def chunk_ids(self) -> npt.NDArray[np.bytes_]:
        return np.frombuffer(bytes(self._chunk_ids), dtype="S32")

    def documents(self) -> Int32Vector:
        return np.frombuffer(self._documents, dtype=np.int32)

    def classes(self) -> Int32Vector:
        return np.frombuffer(self._classes, dtype=np.int32)


def _blocks(vectors: Iterable[bytes], dim: int) -> Iterator[Float32Matrix]:
    """The vectors in blocks of some thousand rows."""
    for batch in batched(vectors, _BLOCK_ROWS):
        yield np.frombuffer(b"".join(batch), dtype="<f4").reshape(-1, dim)


def _sizes(folder: Path) -> dict[str, int]:
    """Return the size of every file of a build but its manifest; tantivy's lock files are no part of it."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files if path.name != "manifest.json"}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changed_files(folder: Path) -> list[str]:
    """Return the files of the build in `folder` that are gone or not, byte for byte, what was written; for `verify`.

    Raises:
        BuildCorrupt: the manifest cannot be read.
    """
    try:
        files = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
        return [
            name
            for name, written in sorted(files.items())
            if not (folder / name).is_file() or _sha256(folder / name) != written["sha256"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuildCorrupt(f"build {folder.name} cannot be read: {error}; ingest again with --full") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_whole(folder: Path) -> bool:
    """Is there a build in `folder` that can be opened?"""
    if not folder.exists():
        return False
    try:
        Build(folder)
    except BuildCorrupt:
        return False
    return True


class Build:
    """An open build: its two indexes and the way from a row back to its chunk."""

    def __init__(self, folder: Path) -> None:
        """Open the build in `folder`.

        Raises:
            BuildCorrupt: a file is missing or does not agree with the manifest.
        """
        try:
            content = json.loads((folder / "manifest.json").read_text("utf-8"))
            self.manifest = Manifest.from_json(content)
            for name, written in content["files"].items():
                if (found := (folder / name).stat().st_size) != written["bytes"]:
                    raise ValueError(f"{name} has {found} bytes instead of {written['bytes']}")
            with np.load(folder / "rows.npz", allow_pickle=False) as rows:
                self._chunk_ids, self._row_documents = rows["chunk_ids"], rows["documents"]
                built_classes: Int32Vector = rows["classes"]
            self._document_ids: list[str] = json.loads((folder / "documents.json").read_text("utf-8"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadZipFile) as error:
            raise BuildCorrupt(f"build {folder.name} cannot be read: {error}; ingest again with --full") from error
        self.vectors: VectorIndex = vector_backend(self.manifest.config.vector_index).open(folder / "vectors.index")
        self.siblings = Siblings(self._row_documents)
        self.lexical = LexicalIndex(
            folder / "lexical",
            row_documents=self._row_documents,
            built_classes=built_classes,
            analysis=self.manifest.config.analysis,
        )
        self.folder = folder
        self._ordinals = {name: ordinal for ordinal, name in enumerate(self._document_ids)}
        self._document_classes: Int32Vector = np.full(len(self._document_ids), UNREADABLE, dtype=np.int32)
        self._epoch: int | None = None
        self._lock = Lock()
        rows_found = {len(self.vectors), len(self.lexical), len(self._chunk_ids)}
        if rows_found != {self.manifest.rows}:
            raise BuildCorrupt(f"build {folder.name} promises {self.manifest.rows} rows and holds {sorted(rows_found)}")

    @property
    def epoch(self) -> int | None:
        """The catalog's epoch whose rights the indexes carry now."""
        return self._epoch

    def carry_rights(self, classes: Callable[[int | None], Mapping[str, int]], *, epoch: int) -> None:
        """Carry the rights of the catalog's `epoch` into both indexes, unless they are there; no vector moves.

        Args:
            classes: gives document id -> ACL class: of all documents for None, else of those that changed after an epoch.
                A document that it does not name at all is gone, hence readable by nobody.
        Cost: O(documents) at the first call, later O(changed documents) in Python; O(rows) in numpy.
        """
        with self._lock:
            if self._epoch is not None and self._epoch >= epoch:
                return
            changed = classes(self._epoch)
            ordinals = [
                (self._ordinals[name], class_id) for name, class_id in changed.items() if name in self._ordinals
            ]
            of_document = self._document_classes.copy()
            if ordinals:
                places, values = zip(*ordinals, strict=True)
                of_document[list(places)] = values
            of_row = of_document[self._row_documents] if len(self._row_documents) else np.empty(0, np.int32)
            self.vectors.assign_classes(of_row)
            self.lexical.assign_classes(of_row)
            self._document_classes, self._epoch = of_document, epoch

    def rows_of(self, document_ids: set[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return a mask of the rows whose documents are among `document_ids`."""
        chosen = np.array([name in document_ids for name in self._document_ids], dtype=bool)
        return chosen[self._row_documents] if len(self._row_documents) else np.zeros(0, dtype=bool)

    def chunk_ids(self, rows: Iterable[int]) -> list[str]:
        """Return the chunk ids of the rows, in their order."""
        return [self._chunk_ids[row].decode("ascii") for row in rows]

    def row_numbers(self) -> dict[str, int]:
        """Return each chunk's row, for `verify`."""
        return {raw.decode("ascii"): row for row, raw in enumerate(self._chunk_ids)}

    def chunk_id_set(self) -> set[str]:
        """Return all chunk ids, for `verify`."""
        return {raw.decode("ascii") for raw in self._chunk_ids}
