"""From a chunk back to where it came from, without its text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from rag import Loremill, Principal

ALICE = Principal("t", "user:alice")
WriteTree = Callable[..., Path]


def test_a_chunk_leads_to_its_document_version_source_item_makers_and_builds(
    mill: Loremill, write_tree: WriteTree
) -> None:
    docs = write_tree({"acl.yaml": "tenant: t\ndefault: {allow: [everyone]}\n", "a.md": "# Kiln\n\nThe kiln runs hot."})
    first = mill.ingest(docs, collection="c")
    (docs / "b.md").write_text("Lunch.")
    second = mill.ingest(docs, collection="c")
    [hit] = mill.search("kiln", collection="c", principal=ALICE, mode="lexical")
    found = mill.lineage(hit.chunk_id)
    assert found is not None
    assert found["chunk"]["start"] == hit.start
    assert found["document"]["document_id"] == "a.md"
    assert found["source"]["uri"] == (docs / "a.md").as_uri()
    assert found["source"]["opened_as"]["source"]["location"] == str(docs)
    assert found["made_by"]["parser"].startswith("md/")
    assert found["made_by"]["embedder"] == mill.embedder.model_id
    assert [(build["build"], build["live"]) for build in found["builds"]] == [
        (second.build, True),
        (first.build, False),
    ]
    assert found["builds"][0]["releases"] == [second.release]
    assert "kiln runs hot" not in json.dumps(found)


def test_an_unknown_chunk_has_no_lineage(mill: Loremill, write_tree: WriteTree) -> None:
    mill.ingest(write_tree({"a.md": "Text."}), collection="c", tenant="t", allow=["everyone"])
    assert mill.lineage("f" * 32) is None
    assert mill.lineage("f" * 32, collection="c", tenant="t") is None
