"""What a build keeps of rows that lie in a Qdrant engine: a pointer to them, and each row's ACL class when it was made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from indexes.access import Int32Vector
from indexes.errors import BuildCorrupt

UNFINISHED = -1
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the rows are. `rows` is UNFINISHED until all of them are there.

    `url` is empty where they lie in a folder beside the pointer; `name` is that of the collection's alias, or of the folder.
    """

    engine: str
    name: str
    dim: int
    rows: int = UNFINISHED
    url: str = ""

    def write(self, path: Path) -> None:
        """Write the pointer: before the rows, so that what a crash leaves can be found and removed, and again once all are there."""
        path.write_text(json.dumps(asdict(self), indent=1), "utf-8")

    @classmethod
    def read(cls, path: Path, engine: str) -> Pointer:
        """Read it back, finished or not.

        Raises:
            BuildCorrupt: it is missing, damaged, or another engine's.
        """
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError("it is too long for a pointer")
            pointer = cls(**json.loads(path.read_text("utf-8")))
            if pointer.engine != engine or not pointer.name or Path(pointer.name).name != pointer.name:
                raise ValueError(f"it is no pointer to rows in {engine}")
        except (OSError, ValueError, TypeError) as error:
            raise BuildCorrupt(f"{path.name} cannot be read: {error}; ingest again with --full") from error
        return pointer

    @classmethod
    def finished(cls, path: Path, engine: str) -> Pointer:
        """Read it back; see `read`. A build that did not end is corrupt."""
        pointer = cls.read(path, engine)
        if pointer.rows == UNFINISHED:
            raise BuildCorrupt(f"{path.name} was not written to its end; ingest again with --full")
        return pointer


def write_classes(path: Path, classes: Int32Vector) -> None:
    """Write the classes beside the pointer `path`."""
    np.save(_classes_file(path), classes.astype(np.int32), allow_pickle=False)


def read_classes(path: Path, pointer: Pointer) -> Int32Vector:
    """Return the classes of the pointer's rows.

    Raises:
        BuildCorrupt: they are missing, damaged or of another number.
    """
    try:
        classes: Int32Vector = np.load(_classes_file(path), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BuildCorrupt(f"the classes of {path.name} cannot be read: {error}; ingest again with --full") from error
    if classes.shape != (pointer.rows,) or classes.dtype != np.int32:
        raise BuildCorrupt(
            f"{path.name} promises {pointer.rows} rows, its classes are others; ingest again with --full"
        )
    return classes


def _classes_file(path: Path) -> Path:
    return path.with_name(path.name + ".classes.npy")
