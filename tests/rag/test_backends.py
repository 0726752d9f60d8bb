"""Other backends than the default ones, chosen by the environment, from ingestion to the search and back to removal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag import Principal
from tests.conftest import OpenMill, WriteTree
from tests.indexes.qdrant_wire import Wire, running_wire

ALICE = Principal("halden", "user:alice", ("group:finance",))
BOB = Principal("halden", "user:bob")
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - path: 'finance/**'\n    allow: [group:finance]\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
    "finance/budget.md": "# Budget\n\nThe marketing budget is 340,000 euros.\n",
    "kiln.md": "The kiln runs at 900 degrees.\n",
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


@pytest.fixture
def wire() -> Iterator[Wire]:
    with running_wire() as wire:
        yield wire


def choose(patch: pytest.MonkeyPatch, vector: str, lexical: str, url: str = "") -> None:
    for name, value in (("VECTOR_INDEX", vector), ("LEXICAL_INDEX", lexical), ("QDRANT_URL", url)):
        patch.setenv(f"LOREMILL_{name}", value)


@pytest.mark.parametrize(
    ("vector", "lexical", "server"),
    [("qdrant-edge", "tantivy", False), ("qdrant", "qdrant", False), ("qdrant", "qdrant", True)],
    ids=["edge", "local", "server"],
)
def test_ingestion_search_rights_verify_and_lineage(
    monkeypatch: pytest.MonkeyPatch,
    open_mill: OpenMill,
    write_tree: WriteTree,
    wire: Wire,
    vector: str,
    lexical: str,
    server: bool,
) -> None:
    """Two programs have the home open at once; what one changes holds for the other's next query."""
    choose(monkeypatch, vector, lexical, wire.url if server else "")
    docs = write_tree(DOCS)
    mill, beside = open_mill(), open_mill()
    mill.ingest(docs, collection="c")

    def uris(principal: Principal, query: str = "marketing budget euros") -> list[str]:
        found = [
            [Path(hit.uri).name for hit in each.search(query, collection="c", principal=principal)]
            for each in (mill, beside)
        ]
        assert found[0] == found[1]
        return found[0]

    assert uris(ALICE)[0] == "budget.md"
    assert sorted(uris(BOB)) == ["kiln.md", "leave.md"]
    for mode in ("dense", "lexical"):
        [hit] = mill.search("parental leave", collection="c", principal=BOB, mode=mode, top_k=1)
        assert Path(hit.uri).name == "leave.md"
    mill.set_acl(collection="c", path="finance/**", allow=["user:bob"])
    assert "budget.md" not in uris(ALICE)
    assert uris(BOB)[0] == "budget.md"
    assert mill.verify("c").faults == ()
    (build,) = mill.lineage(hit.chunk_id)["builds"]
    assert (build["vector_index"], build["lexical_index"]) == (vector, lexical)
    assert len(wire.aliases()) == (2 if server else 0)
    (docs / "kiln.md").write_text("The kiln is cold.\n")
    mill.ingest(docs, collection="c")
    assert mill.search("kiln", collection="c", principal=BOB)[0].text.endswith("cold.")


def test_builds_that_are_collected_are_removed_from_the_server_too(
    monkeypatch: pytest.MonkeyPatch, open_mill: OpenMill, write_tree: WriteTree, wire: Wire, home: Path
) -> None:
    choose(monkeypatch, "qdrant", "qdrant", wire.url)
    docs, mill = write_tree(DOCS), open_mill()
    for number in range(5):
        (docs / "kiln.md").write_text(f"The kiln runs at {number} degrees.\n")
        mill.ingest(docs, collection="c")
    kept = list((home / "tenants/halden/collections/c/builds").iterdir())
    assert len(kept) == 3
    assert len(wire.names()) == len(wire.aliases()) == 2 * len(kept)


def test_a_server_that_lost_a_build_is_found_out_and_gets_it_again(
    monkeypatch: pytest.MonkeyPatch, open_mill: OpenMill, write_tree: WriteTree, wire: Wire
) -> None:
    choose(monkeypatch, "qdrant", "tantivy", wire.url)
    docs = write_tree(DOCS)
    open_mill().ingest(docs, collection="c")
    (name,) = wire.names()
    wire.store.delete_collection(name)
    mill = open_mill()
    assert any("--full" in fault for fault in mill.verify("c").faults)
    mill.ingest(docs, collection="c")
    assert mill.verify("c").faults == ()
    assert mill.search("kiln", collection="c", principal=BOB)


def test_another_backend_makes_the_build_anew_from_the_vectors_that_are_there(
    monkeypatch: pytest.MonkeyPatch, open_mill: OpenMill, write_tree: WriteTree
) -> None:
    docs = write_tree(DOCS)
    choose(monkeypatch, "faiss", "tantivy")
    first = open_mill().ingest(docs, collection="c")
    choose(monkeypatch, "qdrant-edge", "qdrant")
    second = open_mill().ingest(docs, collection="c")
    assert first.build != second.build
    assert second.to_json()["chunks"]["embedded"] == 0
    hits = open_mill().search("parental leave", collection="c", principal=BOB)
    assert Path(hits[0].uri).name == "leave.md"
