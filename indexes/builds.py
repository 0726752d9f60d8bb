"""Builds: immutable, content-addressed indexes over one corpus state and one index configuration.

    builds/<build_id>/manifest.json     what it is made of, with sizes of its files
                      rows.npz          row -> chunk id, document ordinal, ACL class at build time
                      documents.json    document ordinal -> document id
                      vectors.index     the vector backend's file or folder
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

from indexes.access import UNREADABLE, AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.batches import batched
from indexes.columns import Columns, Values
from indexes.errors import BuildCorrupt, IndexBackendError, LoremillError
from indexes.lexical import ANALYSIS, LexicalRow
from indexes.lexical_backends import LexicalSearch, lexical_backend
from indexes.qdrant_store import remove_collection
from indexes.siblings import Siblings
from indexes.vectors import Base, VectorIndex, VectorOptions, vector_backend
from indexes.vocabulary import digest_all
from indexes.where import Filter

FORMAT = 1
_BLOCK_ROWS = 4096
_MASKS_KEPT = 16


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """What, beside the chunks, decides a build: the same chunks under the same configuration are the same build."""

    embedder: str
    dim: int
    chunker: str
    vector_index: str
    analysis: str = ANALYSIS
    format: int = FORMAT
    lexical_index: str = "tantivy"


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


def write_build(
    folder: Path, corpus: Corpus, *, config: BuildConfig, options: VectorOptions | None = None, base: str = ""
) -> Manifest:
    """Write the build of `corpus` into `folder` under its id, unless it is there already; one that is damaged is written again.

    It is written aside, opened to see that it is whole, and renamed.

    Args:
        folder: holds the collection's builds.
        options: how its backends run here.
        base: id of a build in `folder` whose vector index the new one may take work over from. Where search is approximate, what
            is found may then differ a little from what a build from nothing finds, as it would after any other training.
    Raises:
        IndexBackendError: the disk is full or the folder cannot be written; nothing half-written is left under the build's name.
        BuildCorrupt: what was written does not agree with itself.
    Cost: memory for the vectors once, and 40 bytes a row.
    """
    name = build_id(corpus.keys(), config)
    target = folder / name
    if is_whole(target, options):
        return Build(target, options).manifest
    aside = folder / f".{name}.{os.getpid()}.tmp"
    remove_build(aside, options)  # in a container a run that crashed may have had the same process id
    try:
        aside.mkdir(parents=True)
        manifest = _write_files(aside, name, corpus, config, options, folder / base if base else None)
        Build(aside, options)
        remove_build(target, options)
        os.replace(aside, target)
        _sync(folder)
    except (OSError, ValueError, RuntimeError) as error:  # tantivy and FAISS report a full disk as the latter two
        raise IndexBackendError(f"build {name} could not be written: {error}") from error
    finally:
        remove_build(aside, options)
    return manifest


def remove_build(folder: Path, options: VectorOptions | None = None) -> bool:
    """Remove a build, finished or not, and what it points to on a server. Readers of an open one finish on their mapping.

    Returns:
        False where a server could not be reached or refused: the folder stays, so that the next removal finds the rows again.
    """
    try:
        for pointer in (folder / "vectors.index", folder / "lexical" / "pointer.json"):
            remove_collection(pointer, options or VectorOptions())
    except LoremillError:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _write_files(
    folder: Path, name: str, corpus: Corpus, config: BuildConfig, options: VectorOptions | None, base: Path | None
) -> Manifest:
    document_ids = corpus.document_ids()
    (folder / "documents.json").write_text(json.dumps(document_ids), "utf-8")
    rows = _Rows({document_id: ordinal for ordinal, document_id in enumerate(document_ids)})
    lexical_backend(config.lexical_index, options).build(rows.through(corpus.rows()), folder / "lexical")
    np.savez(folder / "rows.npz", chunk_ids=rows.chunk_ids(), documents=rows.documents(), classes=rows.classes())
    vector_backend(config.vector_index, options).build(
        _blocks(corpus.vectors(), config.dim),
        config.dim,
        folder / "vectors.index",
        classes=rows.classes(),
        base=None if base is None else _base(base, rows.chunk_ids()),
    )
    manifest = Manifest(name, len(rows), len(document_ids), config)
    files = {name: {"bytes": size, "sha256": _sha256(folder / name)} for name, size in _sizes(folder).items()}
    (folder / "manifest.json").write_text(json.dumps(manifest.to_json() | {"files": files}, indent=1), "utf-8")
    for path in (folder, *folder.rglob("*")):
        _sync(path)
    return manifest


def _base(folder: Path, chunk_ids: npt.NDArray[np.bytes_]) -> Base | None:
    """Say where the chunks, by ascending id, lie in another build; None if that cannot be read."""
    try:
        with np.load(folder / "rows.npz", allow_pickle=False) as rows:
            there = rows["chunk_ids"]
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
    if not len(there):
        return None
    places = np.minimum(np.searchsorted(there, chunk_ids), len(there) - 1)
    return Base(folder / "vectors.index", np.where(there[places] == chunk_ids, places, -1).astype(np.int64))


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


def is_whole(folder: Path, options: VectorOptions | None = None) -> bool:
    """Is there a build in `folder` that can be opened?"""
    if not folder.exists():
        return False
    try:
        Build(folder, options)
    except BuildCorrupt:
        return False
    return True


class Build:
    """An open build: its two indexes and the way from a row back to its chunk."""

    def __init__(self, folder: Path, options: VectorOptions | None = None) -> None:
        """Open the build in `folder`.

        Args:
            options: how its backends run here.
        Raises:
            BuildCorrupt: a file is missing or does not agree with the manifest.
            IndexBackendError: a server that holds its rows cannot be reached.
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
        config = self.manifest.config
        self.vectors: VectorIndex = vector_backend(config.vector_index, options).open(folder / "vectors.index")
        self.siblings = Siblings(self._row_documents)
        self.lexical: LexicalSearch = lexical_backend(config.lexical_index, options).open(
            folder / "lexical",
            row_documents=self._row_documents,
            built_classes=built_classes,
            analysis=config.analysis,
        )
        self.folder = folder
        self._ordinals = {name: ordinal for ordinal, name in enumerate(self._document_ids)}
        self._columns = Columns(self._ordinals)
        self._masks: dict[tuple[str, frozenset[int], int, int | None], BoolVector] = {}
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

    def carries(self, epoch: int | None) -> bool:
        """Return whether the indexes carry the rights of this epoch and no later ones; waits while they are being changed.

        If so, they have carried them ever since `epoch` was that of the build.
        """
        with self._lock:
            return self._epoch == epoch

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

    def rows_matching(self, where: Filter, values: Values, *, access: AccessFilter, epoch: int) -> BoolVector:
        """Return a mask of the readable rows whose documents pass a metadata filter.

        Only the readable ones, so that a filter which forbidden documents pass is, from here on, one that none passes.

        Args:
            values: reads what the catalog of `epoch`, or a later one, has under some keys.
        Cost: see `Columns.matching`; O(rows) in numpy. The last masks are kept, so asking again within an epoch gives the same array.
        """
        with self._lock:
            document_classes, carried = self._document_classes, self._epoch
            key = repr(where), access.classes, epoch, carried
            if (kept := self._masks.get(key)) is not None:
                return kept
        passing = self._columns.matching(where, values, epoch=epoch) & access.mask(document_classes)
        mask = passing[self._row_documents] if len(self._row_documents) else np.zeros(0, dtype=bool)
        mask.flags.writeable = False
        with self._lock:
            self._masks[key] = mask
            while len(self._masks) > _MASKS_KEPT:
                del self._masks[next(iter(self._masks))]
        return mask

    def keep_columns_of(self, other: Build) -> None:
        """Take over the metadata columns that another build of the collection has in memory."""
        self._columns = other._columns.onto(self._ordinals)

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
