"""Documents of the audit: made up, or from somebody's own texts and rights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import snowballstemmer

from eval.audit import Material, material_of_collection, material_of_folder
from eval.audit.canaries import mint, sung
from indexes.errors import IngestError
from rag.loremill import Loremill

WriteTree = Callable[..., Path]
TEXT = "# Leave\n\n" + "Parental leave is *twenty weeks* for every employee of the <b>whole</b> company. " * 6
ACL = "tenant: t\ndefault: {allow: [everyone]}\nrules:\n - {path: '*.txt', allow: [group:board], deny: [user:zed]}\n"


def test_words_looked_for_by_themselves_have_different_stems() -> None:
    words = Material().words
    stems = snowballstemmer.stemmer("english").stemWords([*words, "signed", "day", "memo"])
    assert len(set(stems)) == len(words) + 3


def test_own_texts_lend_their_sentences_rights_and_names(write_tree: WriteTree) -> None:
    folder = write_tree({"a.md": TEXT, "b.txt": "Too short.", "acl.yaml": ACL})
    material = material_of_folder(folder)
    canary = mint(Random(1))
    sentence = material.sentence(Random(0), canary)
    assert sung(sentence) == {canary}
    assert "Parental leave" in sentence
    assert not set("<>*#") & set(sentence)
    assert (("group:board",), ("user:zed",)) in material.rights
    assert "group:board" in material.groups
    assert "user:zed" in material.subjects
    assert material.words == ()  # what else a word of theirs may stem to is not known here


def test_texts_without_an_acl_file_are_audited_under_made_up_rights(write_tree: WriteTree) -> None:
    material = material_of_folder(write_tree({"a.md": TEXT}))
    assert material.rights == Material().rights
    assert "twenty weeks" in material.texts[0]


def test_a_collection_lends_the_same_as_its_folder(mill: Loremill, write_tree: WriteTree) -> None:
    folder = write_tree({"a.md": TEXT, "b.txt": TEXT, "acl.yaml": ACL})
    mill.ingest(folder, collection="c")
    material = material_of_collection(mill, "c")
    assert material.texts
    assert (material.rights, material.groups) == (material_of_folder(folder).rights, material_of_folder(folder).groups)


def test_no_text_at_all_is_an_error(write_tree: WriteTree) -> None:
    with pytest.raises(IngestError, match="no text to audit with"):
        material_of_folder(write_tree({"a.txt": "Too short."}))
