"""The vector index is a setting: whichever it is, the same people find the same passages."""

from __future__ import annotations

import pytest

from indexes.vectors import VectorOptions, resolved
from rag import Loremill, Principal
from tests.conftest import OpenMill, WriteTree

ALICE = Principal("halden", "user:alice", ("group:finance",))
BOB = Principal("halden", "user:bob")
RULES = "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: 'finance/**', allow: [group:finance]}\n"
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": RULES,
    **{f"leave-{number}.md": f"# Leave {number}\n\nLeave is {number} weeks.\n" for number in range(6)},
    **{f"finance/budget-{number}.md": f"# Budget\n\nBudget {number} is {number} euros.\n" for number in range(6)},
}


def found(mill: Loremill, principal: Principal) -> list[tuple[str, float]]:
    hits = mill.search("leave budget", collection="company", principal=principal, top_k=8, mode="dense")
    return [(hit.document_id, round(hit.score, 5)) for hit in hits]


@pytest.mark.parametrize("name", ["auto", "cuda", "faiss-gpu"])
def test_every_vector_index_finds_what_faiss_finds(open_mill: OpenMill, write_tree: WriteTree, name: str) -> None:
    folder = write_tree(DOCS)
    mill = open_mill(vector_index=name)
    mill.ingest(folder, collection="company")
    other = open_mill(mill.home.parent / "other")
    other.ingest(folder, collection="company")
    for principal, count in ((ALICE, 8), (BOB, 6)):
        assert found(mill, principal) == found(other, principal)
        assert len(found(mill, principal)) == count
    hit = mill.search("leave", collection="company", principal=BOB, top_k=1)[0]
    told = mill.lineage(hit.chunk_id)
    assert told is not None
    chosen = resolved(name, vectors=range(12), dim=384, options=VectorOptions())
    assert [build["vector_index"] for build in told["builds"]] == [chosen], (
        "a build names what was chosen, never `auto`"
    )
    assert mill.ingest(folder, collection="company").to_json()["documents"]["unchanged"] == 12
