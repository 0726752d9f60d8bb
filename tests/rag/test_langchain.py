"""The LangChain retrievers give what the facade gives, as their principal."""

from __future__ import annotations

import asyncio

import pytest

from indexes.errors import CollectionNotFound
from rag import Loremill, Principal
from tests.conftest import WriteTree

pytest.importorskip("langchain_core", reason="the extra `langchain` is not installed")

from rag.langchain import LoremillRetriever, MemoryRetriever

ALICE, BOB = Principal("halden", "user:alice", ("group:finance",)), Principal("halden", "user:bob")
DOCS = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: 'budget.md', allow: [group:finance]}\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for every employee of Halden.\n",
    "budget.md": "# Marketing budget\n\nThe marketing budget for 2026 is 340,000 euros.\n",
}


@pytest.fixture
def filled(mill: Loremill, write_tree: WriteTree) -> Loremill:
    mill.ingest(write_tree(DOCS), collection="company")
    return mill


def test_documents_are_the_searchs_hits_with_their_source(filled: Loremill) -> None:
    retriever = LoremillRetriever(mill=filled, principal=ALICE, collection="company", top_k=1)
    (found,) = retriever.invoke("marketing budget")
    (hit,) = filled.search("marketing budget", collection="company", principal=ALICE, top_k=1)
    assert (found.page_content, found.id) == (hit.text, hit.chunk_id)
    assert (found.metadata["document_id"], found.metadata["score"]) == ("budget.md", hit.score)
    assert asyncio.run(retriever.ainvoke("marketing budget"))[0].id == found.id


def test_only_what_the_principal_may_read_comes_out(filled: Loremill) -> None:
    retriever = LoremillRetriever(mill=filled, principal=BOB, collection="company")
    assert {one.metadata["document_id"] for one in retriever.invoke("marketing budget")} == {"leave.md"}
    narrow = LoremillRetriever(mill=filled, principal=BOB, collection="company", where={"document_id": "budget.md"})
    assert narrow.invoke("marketing budget") == []
    with pytest.raises(CollectionNotFound):
        LoremillRetriever(mill=filled, principal=BOB, collection="nowhere").invoke("leave")


def test_a_retriever_works_in_a_chain(filled: Loremill) -> None:
    from langchain_core.runnables import RunnableLambda

    retriever = LoremillRetriever(mill=filled, principal=BOB, collection="company", top_k=1)
    chain = retriever | RunnableLambda(lambda found: found[0].page_content)
    assert "20 weeks" in chain.invoke("How long is parental leave?")


def test_memories_are_found_with_date_scope_and_source(mill: Loremill) -> None:
    said = mill.memory.remember("The kiln is fired on Tuesdays.", principal=ALICE, session="s1", speaker="Alice")
    found = MemoryRetriever(mill=mill, principal=ALICE, kinds=["episode"]).invoke("kiln")
    assert [(one.id, one.page_content) for one in found] == [(said.id, said.text)]
    assert {"kind": "episode", "scope": "user"}.items() <= found[0].metadata.items()
    assert found[0].metadata["provenance"][0]["speaker"] == "Alice"
    assert MemoryRetriever(mill=mill, principal=BOB).invoke("kiln") == []
