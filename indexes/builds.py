"""Builds: immutable, content-addressed indexes over one corpus state and one index configuration.

    builds/<build_id>/manifest.json     what it is made of, with sizes of its files
                      rows.npz          row -> chunk id, document ordinal, ACL class at build time
                      documents.json    document ordinal -> document id
                      vectors.index     the vector backend's file
                      lexical/          tantivy

A build is written aside under a temporary name, synced, and renamed into place; a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import BadZipFile

import numpy as np

from indexes.access import UNREADABLE, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.catalog import ChunkKey
from indexes.errors import BuildCorrupt, IndexBackendError
from indexes.lexical import ANALYSIS, LexicalIndex, LexicalRow, build_lexical
from indexes.vectors import VectorIndex, vector_backend
from indexes.vocabulary import digest

FORMAT = 1


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


def build_id(keys: Sequence[ChunkKey], config: BuildConfig) -> str:
    """Return 16 hex digits naming the build of these chunks (by ascending chunk id) under this configuration."""
    parts = [json.dumps(asdict(config), sort_keys=True)]
    parts.extend(f"{key.chunk_id} {key.document_id} {key.embed_hash}" for key in keys)
    return digest(*parts)[:16]


def write_build(
    folder: Path,
    keys: Sequence[ChunkKey],
    *,
    vectors: Float32Matrix,
    texts: Iterable[tuple[str, str]],
    classes: Mapping[str, int],
    config: BuildConfig,
) -> Manifest:
    """Write the build of `keys` into `folder` under its id, unless it is there already.

    Args:
        folder: holds the collection's builds.
        keys: by ascending chunk id; row i of the build is key i.
        vectors: float32, shape (len(keys), config.dim), unit rows.
        texts: (title and headings, text) of each key, in the same order.
        classes: ACL class by document id, now.
    A build that is there but damaged is written again.

    Raises:
        IndexBackendError: the disk is full or the folder cannot be written; nothing half-written is left under the build's name.
    """
    manifest = Manifest(build_id(keys, config), len(keys), len({key.document_id for key in keys}), config)
    target = folder / manifest.build_id
    if _is_whole(target):
        return manifest
    aside = folder / f".{manifest.build_id}.{os.getpid()}.tmp"
    shutil.rmtree(aside, ignore_errors=True)  # in a container a run that crashed may have had the same process id
    try:
        aside.mkdir(parents=True)
        _write_files(aside, keys, vectors, texts, classes, manifest)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(aside, target)
        _sync(folder)
    except (OSError, ValueError, RuntimeError) as error:  # tantivy and FAISS report a full disk as the latter two
        raise IndexBackendError(f"build {manifest.build_id} could not be written: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return manifest


def _write_files(
    folder: Path,
    keys: Sequence[ChunkKey],
    vectors: Float32Matrix,
    texts: Iterable[tuple[str, str]],
    classes: Mapping[str, int],
    manifest: Manifest,
) -> None:
    document_ids = sorted({key.document_id for key in keys})
    ordinals = {document_id: ordinal for ordinal, document_id in enumerate(document_ids)}
    documents = np.array([ordinals[key.document_id] for key in keys], dtype=np.int32)
    built_classes = np.array([classes.get(key.document_id, UNREADABLE) for key in keys], dtype=np.int32)
    chunk_ids = np.array([key.chunk_id for key in keys], dtype="S32")
    np.savez(folder / "rows.npz", chunk_ids=chunk_ids, documents=documents, classes=built_classes)
    (folder / "documents.json").write_text(json.dumps(document_ids), "utf-8")
    vector_backend(manifest.config.vector_index).build(vectors, folder / "vectors.index")
    rows = (
        LexicalRow(int(document), max(0, int(acl_class)), title, text)
        for document, acl_class, (title, text) in zip(documents, built_classes, texts, strict=True)
    )
    build_lexical(rows, folder / "lexical")
    files = {name: {"bytes": size, "sha256": _sha256(folder / name)} for name, size in _sizes(folder).items()}
    content = manifest.to_json() | {"files": files}
    (folder / "manifest.json").write_text(json.dumps(content, indent=1), "utf-8")
    for path in (folder, *folder.rglob("*")):
        _sync(path)


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


def _is_whole(folder: Path) -> bool:
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
        self.lexical = LexicalIndex(folder / "lexical", row_documents=self._row_documents, built_classes=built_classes)
        self.folder = folder
        self._epoch: int | None = None
        self._lock = Lock()
        rows_found = {len(self.vectors), len(self.lexical), len(self._chunk_ids)}
        if rows_found != {self.manifest.rows}:
            raise BuildCorrupt(f"build {folder.name} promises {self.manifest.rows} rows and holds {sorted(rows_found)}")

    @property
    def epoch(self) -> int | None:
        """The catalog's epoch whose rights the indexes carry now."""
        return self._epoch

    def assign_classes(self, classes: Mapping[str, int], *, epoch: int) -> None:
        """Carry the rights of the catalog's `epoch` into both indexes; a document that is gone is readable by nobody.

        Cost: O(documents + rows); no vector moves.
        """
        of_document = np.array([classes.get(name, UNREADABLE) for name in self._document_ids], dtype=np.int32)
        of_row = of_document[self._row_documents] if len(self._row_documents) else np.empty(0, np.int32)
        with self._lock:
            self.vectors.assign_classes(of_row)
            self.lexical.assign_classes(of_row)
            self._epoch = epoch

    def rows_of(self, document_ids: set[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return a mask of the rows whose documents are among `document_ids`."""
        chosen = np.array([name in document_ids for name in self._document_ids], dtype=bool)
        return chosen[self._row_documents] if len(self._row_documents) else np.zeros(0, dtype=bool)

    def chunk_ids(self, rows: Iterable[int]) -> list[str]:
        """Return the chunk ids of the rows, in their order."""
        return [self._chunk_ids[row].decode("ascii") for row in rows]

    def chunk_id_set(self) -> set[str]:
        """Return all chunk ids, for `verify`."""
        return {raw.decode("ascii") for raw in self._chunk_ids}
