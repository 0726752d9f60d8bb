"""Builds are named by what they are made of, appear whole or not at all, and say when they are damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexes import builds
from indexes.access import AccessFilter
from indexes.builds import Build, BuildConfig, ChunkKey, Corpus, build_id, write_build
from indexes.errors import BuildCorrupt, IndexBackendError
from indexes.vocabulary import Principal
from indexes.where_json import parse

CONFIG = BuildConfig(embedder="test/1", dim=4, chunker="cut/1", vector_index="faiss")
KEYS = [ChunkKey(f"{number:032x}", f"doc-{number % 3}", f"hash-{number}") for number in range(6)]
VECTORS = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]]
TEXTS = [("Title", f"words number{number}") for number in range(6)]
CLASSES = {"doc-0": 1, "doc-1": 2, "doc-2": 1}
ALL = AccessFilter("t", Principal("t", "user:a"), frozenset({1, 2}))


Write = Callable[..., Path]


@pytest.fixture(scope="session")
def write(listed: Callable[..., Corpus]) -> Write:
    """Writes a build of some keys into a folder, and returns where it lies."""

    def write_it(folder: Path, keys: list[ChunkKey] = KEYS, config: BuildConfig = CONFIG) -> Path:
        rows = len(keys)
        manifest = write_build(folder, listed(keys, VECTORS[:rows], TEXTS[:rows], CLASSES), config=config)
        return folder / manifest.build_id

    return write_it


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_the_id_names_the_chunks_and_the_configuration() -> None:
    ids = {
        build_id(KEYS, CONFIG),
        build_id(KEYS[:-1], CONFIG),
        build_id([*KEYS[:-1], ChunkKey(KEYS[-1].chunk_id, KEYS[-1].document_id, "another text")], CONFIG),
        build_id([*KEYS[:-1], ChunkKey(KEYS[-1].chunk_id, "another document", KEYS[-1].embed_hash)], CONFIG),
        build_id(KEYS, BuildConfig("test/2", 4, "cut/1", "faiss")),
        build_id(KEYS, BuildConfig("test/1", 4, "cut/2", "faiss")),
    }
    assert len(ids) == 6
    assert build_id(list(KEYS), BuildConfig("test/1", 4, "cut/1", "faiss")) == build_id(KEYS, CONFIG)


def test_the_same_chunks_give_the_same_id_and_results_in_another_folder(write: Write, tmp_path: Path) -> None:
    one, other = Build(write(tmp_path / "one")), Build(write(tmp_path / "other"))
    assert one.manifest == other.manifest
    for build in (one, other):
        build.carry_rights(lambda _since: CLASSES, epoch=1)
    found = [build.lexical.search("number3 words", top_k=6, access=ALL) for build in (one, other)]
    assert (found[0][0].tolist(), found[0][1].tolist()) == (
        found[1][0].tolist(),
        found[1][1].tolist(),
    )


def test_a_build_knows_its_chunks_its_documents_and_their_rights(whole: Path) -> None:
    build = Build(whole)
    assert build.chunk_ids([4, 0]) == [KEYS[4].chunk_id, KEYS[0].chunk_id]
    assert build.chunk_id_set() == {key.chunk_id for key in KEYS}
    assert build.rows_of({"doc-1", "unknown"}).tolist() == [False, True, False, False, True, False]
    build.carry_rights(lambda _since: {"doc-0": 1, "doc-1": 2}, epoch=7)  # doc-2 is gone
    assert build.epoch == 7
    assert sorted(build.vectors.search(VECTORS[:1], top_k=6, access=ALL)[0].rows.tolist()) == [0, 1, 3, 4]
    assert sorted(build.lexical.search("words", top_k=6, access=ALL)[0].tolist()) == [0, 1, 3, 4]


def test_a_filter_passes_readable_rows_alone(whole: Path) -> None:
    build = Build(whole)
    years = {"doc-0": 2023, "doc-1": 2024, "doc-2": 2025}
    reads: list[tuple[str, ...]] = []

    def values(keys: Sequence[str], since: int | None) -> list[tuple[str, list[Any]]]:
        reads.append(tuple(keys))
        return [(name, [year if key == "year" else None for key in keys]) for name, year in years.items()]

    def passing(where: dict[str, Any], *classes: int, of: Build = build) -> list[int]:
        access = AccessFilter("t", Principal("t", "user:a"), frozenset(classes))
        return np.flatnonzero(of.rows_matching(parse(where), values, access=access, epoch=7)).tolist()

    assert passing({"year": {"gte": 2024}}, 1, 2) == [], "nothing is readable before rights are known"
    build.carry_rights(lambda _since: CLASSES, epoch=7)
    assert passing({"year": {"gte": 2024}}, 1, 2) == [1, 2, 4, 5]
    assert passing({"year": {"gte": 2024}}, 1) == [2, 5]
    assert passing({"year": {"ne": 2025}}, 2) == [1, 4]
    assert passing({"year": 2024}, 1) == passing({"year": 1999}, 1) == []
    assert len(reads) == 1
    later = Build(whole)
    later.keep_columns_of(build)
    later.carry_rights(lambda _since: CLASSES, epoch=7)
    assert passing({"year": {"gte": 2024}}, 1, of=later) == [2, 5]
    assert len(reads) == 1


def test_an_existing_build_is_not_written_again(write: Write, tmp_path: Path) -> None:
    before = contents(write(tmp_path))
    assert contents(write(tmp_path)) == before


def test_a_build_of_nothing_can_be_searched(write: Write, tmp_path: Path) -> None:
    build = Build(write(tmp_path, []))
    build.carry_rights(lambda _since: {}, epoch=1)
    assert build.manifest.rows == 0
    assert build.rows_of({"doc-0"}).tolist() == []
    assert build.rows_matching(parse({"a": {"ne": 1}}), lambda _keys, _since: [], access=ALL, epoch=1).tolist() == []
    assert build.chunk_id_set() == set()
    assert len(build.vectors.search(VECTORS[:1], top_k=3, access=ALL)[0].rows) == 0


FILES = ["manifest.json", "rows.npz", "documents.json", "vectors.index/rows.f32", "lexical/meta.json", "lexical"]


@pytest.fixture(scope="module")
def whole(write: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A build that may be damaged."""
    return Path(shutil.copytree(whole, tmp_path / whole.name))


def damage(path: Path, how: str) -> None:
    if path.is_dir():  # tantivy's files have names of their own
        path = max((file for file in path.iterdir() if file.suffix == ".store"), key=lambda file: file.stat().st_size)
    whole = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes({"empty": b"", "torn": whole[: len(whole) // 2]}[how])


@pytest.mark.parametrize("how", ["missing", "empty", "torn"])
@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_torn_file_makes_a_build_corrupt(copy: Path, name: str, how: str) -> None:
    damage(copy / name, how)
    with pytest.raises(BuildCorrupt, match="--full"):
        Build(copy)


@pytest.mark.parametrize("name", ["manifest.json", "vectors.index/rows.f32"])
def test_a_damaged_build_is_mended_by_writing_it_again(write: Write, copy: Path, name: str) -> None:
    damage(copy / name, "torn")
    assert Build(write(copy.parent)).manifest.rows == 6


@pytest.mark.parametrize("content", ["[]", "{}", '{"build_id": "x"}', "null", "\x00"])
def test_a_manifest_of_another_form_is_corrupt(copy: Path, content: str) -> None:
    (copy / "manifest.json").write_text(content)
    with pytest.raises(BuildCorrupt):
        Build(copy)


def test_rows_that_do_not_agree_with_the_manifest_are_corrupt(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"rows": 7}))
    with pytest.raises(BuildCorrupt, match="promises 7 rows"):
        Build(copy)


@pytest.mark.parametrize("step", ["_write_files", "_sync", "lexical_backend"])
@pytest.mark.parametrize(
    ("fault", "raised"),
    [(OSError(28, "No space left on device"), IndexBackendError), (RuntimeError("write error"), IndexBackendError),
     (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["full disk", "backend", "interrupt"],
)  # fmt: skip
def test_a_fault_while_writing_leaves_no_build_under_its_name(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    fault: BaseException,
    raised: type[BaseException],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(builds, step, fail)
        with pytest.raises(raised):
            write(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Build(write(tmp_path)).manifest.rows == 6


def test_what_a_killed_run_left_does_not_stop_the_next_one(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill runs no clean-up, and in a container the next run may well have the same process id."""
    with monkeypatch.context() as patch:
        patch.setattr(builds, "_sync", lambda _path: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")], (
        "nothing was left: the test shows nothing"
    )
    assert Build(write(tmp_path)).manifest.rows == 6
