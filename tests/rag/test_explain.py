"""Why somebody may read a document, or may not: also where the reason is the person."""

from __future__ import annotations

from pathlib import Path

from rag import Acl, Loremill, Principal


def test_a_deactivated_principal_is_explained_and_not_an_error(mill: Loremill, tmp_path: Path) -> None:
    roster = tmp_path / "principals.yaml"
    roster.write_text("eve: {tenant: t, groups: [hr]}\n")
    mill.directory.import_principals(roster)
    editor, acl = Principal("t", "user:editor"), Acl(("group:hr",))
    mill.put_document(collection="c", principal=editor, document_id="case", text="A case.", acl=acl)
    eve = mill.directory.resolve("eve")
    (before,) = mill.explain("case", principal=eve)
    mill.directory.deactivate("eve")
    (after,) = mill.explain("case", principal=eve)
    assert (before.readable, before.group_path) == (True, ("user:eve", "group:hr"))
    assert (after.readable, after.group_path) == (False, ())
    assert after.because == "denied: user:eve may do nothing any more"
