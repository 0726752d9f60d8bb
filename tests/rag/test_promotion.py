"""What goes live, by whose word: candidates beside the live release, gates, promotion and rollback."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from indexes.audit import AuditLog
from indexes.errors import Busy, ConfigError, PromotionRefused, ReleaseNotFound
from rag import Loremill, Principal
from rag.releases import Release

OpenMill = Callable[..., Loremill]
WriteTree = Callable[..., Path]

ALICE = Principal("halden", "user:alice")
BOB = Principal("halden", "user:bob")
PARAGRAPHS = "\n\n".join(f"Kiln {n} runs at {900 + n} degrees and is fired with gas on day {n}." for n in range(12))
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: 'own/**', allow: ['user:alice']}\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
    "kilns.md": f"# Kilns\n\n{PARAGRAPHS}\n",
    "own/budget.md": "# Budget\n\nThe marketing budget is 340,000 euros.\n",
}
SMALL = {"chunk_tokens": 24}


@pytest.fixture
def docs(write_tree: WriteTree) -> Path:
    return write_tree(DOCS)


@pytest.fixture
def company(mill: Loremill, docs: Path) -> Loremill:
    mill.ingest(docs, collection="company")
    return mill


def live(mill: Loremill) -> Release:
    return mill.release("live", collection="company")


def gate(mill: Loremill, candidate: Release, **changes: Any) -> None:
    record = {
        "verdict": "PASS", "candidate": candidate.id, "baseline": live(mill).id, "dataset": "company@1a2b",
        "created": datetime.now(UTC).isoformat(), "gates": "g", "report": "r",
    }  # fmt: skip
    mill.record_gate("company", record | changes)


def promoted(mill: Loremill, candidate: Release) -> None:
    gate(mill, candidate)
    move = mill.promote(candidate.id, collection="company")
    assert move is not None
    assert live(mill).id == move.release == candidate.id


def texts(mill: Loremill, who: Principal = ALICE, **more: Any) -> list[str]:
    """What a search finds, by text."""
    hits = mill.search("kiln budget leave", collection="company", principal=who, top_k=100, **more)
    return sorted(hit.text for hit in hits)


# -- candidates --------------------------------------------------------------------------------------------------------


def test_equal_content_is_one_release_and_making_it_changes_nothing_that_is_served(company: Loremill) -> None:
    before, found = live(company), texts(company)
    one = company.create_release("company", retrieval={"passages": 3})
    other = company.create_release("company", retrieval={"passages": 3})
    same = company.create_release("company")
    assert one == other
    assert (same.id, one.build) == (before.id, before.build)
    assert one.id != before.id
    assert (live(company).id, texts(company)) == (before.id, found)
    assert company.diff_releases("live", one.id, collection="company")["changed"] == {
        "retrieval.passages": {"before": 12, "after": 3}
    }


def test_a_candidate_cut_in_another_way_is_searched_beside_the_live_release_under_the_same_rights(
    company: Loremill,
) -> None:
    found = texts(company)
    candidate = company.create_release("company", index=SMALL)
    assert candidate.build != live(company).build
    small = texts(company, release=candidate.id)
    assert len(small) > len(found)
    assert any("340,000" in text for text in small)
    assert not any("340,000" in text for text in texts(company, BOB, release=candidate.id))
    company.set_acl(collection="company", path="leave.md", allow=["user:bob"])
    assert not any("20 weeks" in text for text in texts(company, release=candidate.id)), "revocation holds here too"
    assert texts(company, BOB) != []
    assert company.verify("company").ok


def test_what_surrounds_a_hit_of_a_candidate_is_cut_as_the_candidate_is(company: Loremill) -> None:
    candidate = company.create_release("company", index=SMALL)
    hit = company.search("kiln 5 gas", collection="company", principal=ALICE, release=candidate.id)[0]
    around = company.around(hit.chunk_id, collection="company", principal=ALICE)
    assert hit.text in [chunk.text for chunk in around]
    assert len(around) == 3
    assert company.around(hit.chunk_id, collection="company", principal=Principal("halden", "user:zed")) != []


def test_a_deleted_document_leaves_a_candidates_chunks_too(company: Loremill) -> None:
    candidate = company.create_release("company", index=SMALL)
    assert company.delete_document("own/budget.md", collection="company", principal=ALICE)
    assert not any("340,000" in text for text in texts(company, release=candidate.id))
    with company._tenant("halden").catalog.read() as db:
        left = [text for text in db.exec_driver_sql("SELECT text FROM cut_chunks").scalars() if "340,000" in text]
    assert left == []


def test_an_answer_of_a_candidate_is_made_with_its_settings_and_kept_apart(company: Loremill) -> None:
    candidate = company.create_release("company", retrieval={"passages": 1}, index=SMALL)
    question = "How long is parental leave?"
    for release in (None, candidate.id, None, candidate.id):
        answer = company.ask(question, collection="company", principal=ALICE, release=release)
        assert answer.release == (release or live(company).id)
        assert "20 weeks" in answer.answer


@pytest.mark.parametrize(
    "changes",
    [
        {"retrieval": {"colour": 1}},
        {"retrieval": {"passages": 0}},
        {"index": {"home": "/"}},
        {"index": {"chunk_tokens": 1}},
        {"generator": "oracle"},
        {"generation": {"model": "x"}},
        {"prompt": "answer@99"},
    ],
)
def test_a_candidate_of_unknown_or_impossible_settings_is_refused(company: Loremill, changes: dict[str, Any]) -> None:
    before = company.releases("company")
    with pytest.raises(ConfigError):
        company.create_release("company", **changes)
    assert company.releases("company") == before


def test_a_release_of_another_collection_or_tenant_is_not_found_here(company: Loremill, write_tree: WriteTree) -> None:
    rival = write_tree({"acl.yaml": "tenant: rival\ndefault: {allow: [everyone]}\n", "x.md": "X marks it."}, "rival")
    company.ingest(rival, collection="plans")
    company.ingest(write_tree({"a.md": "Another."}, "other"), collection="other", tenant="halden", allow=["everyone"])
    for collection in ("plans", "other"):
        foreign = company.release("live", collection=collection).id
        for call in (company.search, company.ask):
            with pytest.raises(ReleaseNotFound, match="'company' has no release"):
                call("kiln", collection="company", principal=ALICE, release=foreign)
        with pytest.raises(ReleaseNotFound, match="'company' has no release"):
            company.promote(foreign, collection="company", force=True, reason="test")
        record = {
            "verdict": "PASS", "candidate": foreign, "baseline": live(company).id, "dataset": "d@1",
            "created": "2026-11-22", "gates": "g", "report": "r",
        }  # fmt: skip
        with pytest.raises(ReleaseNotFound, match=foreign):
            company.record_gate("company", record)


# -- prompts -----------------------------------------------------------------------------------------------------------

PROMPT = "<!-- system -->\nAnswer from the passages between {{boundary}}. Else: {{abstain}}\n<!-- user -->\n{{question}}\n\n{{passages}}\n"


@pytest.fixture
def prompts(home: Path, company: Loremill) -> Path:
    (home / "prompts").mkdir()
    (home / "prompts" / "answer@5.md").write_text(PROMPT)
    return home / "prompts"


def test_a_prompt_of_the_home_makes_another_release(company: Loremill, prompts: Path) -> None:
    candidate = company.create_release("company", prompt="answer@5")
    assert (candidate.prompt, candidate.build) == ("answer@5", live(company).build)
    assert candidate.prompt_hash != live(company).prompt_hash


def test_a_prompt_that_a_release_was_made_of_may_not_change(company: Loremill, prompts: Path) -> None:
    company.create_release("company", prompt="answer@5")
    (prompts / "answer@5.md").write_text(PROMPT.replace("Answer", "Reply"))
    with pytest.raises(ConfigError, match=r"answer@5 was changed since release r\w+"):
        company.create_release("company", prompt="answer@5")


def test_a_changed_prompt_is_not_asked_with(open_mill: OpenMill, company: Loremill, prompts: Path) -> None:
    candidate = company.create_release("company", prompt="answer@5")
    (prompts / "answer@5.md").write_text(PROMPT.replace("Answer", "Reply"))
    asking = open_mill(openai_base_url="http://127.0.0.1:9/v1", openai_model="m")
    with pytest.raises(ConfigError, match="answer@5 was changed"):
        asking.ask("How long?", collection="company", principal=ALICE, generator="openai", release=candidate.id)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROMPT.replace("{{question}}", ""), "missing variables .'question'."),
        (PROMPT.replace("{{abstain}}", "{{mood}}"), "unknown variables .'mood'."),
        ("no parts", "must be NAME@VERSION with"),
    ],
)
def test_a_prompt_with_other_variables_or_parts_is_refused(
    company: Loremill, prompts: Path, text: str, said: str
) -> None:
    (prompts / "answer@6.md").write_text(text)
    with pytest.raises(ConfigError, match=said):
        company.create_release("company", prompt="answer@6")


def test_a_packaged_version_cannot_be_taken_for_another_text(company: Loremill, prompts: Path) -> None:
    (prompts / "answer@1.md").write_text(PROMPT)
    with pytest.raises(ConfigError, match="a version of its own"):
        company.create_release("company", prompt="answer@1")


# -- promotion ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def candidate(company: Loremill) -> Release:
    return company.create_release("company", retrieval={"passages": 3})


def refused(mill: Loremill, candidate: Release, said: str, **more: Any) -> None:
    before, moves = live(mill), mill.release_history("company")
    with pytest.raises(PromotionRefused, match=said):
        mill.promote(candidate.id, collection="company", **more)
    assert (live(mill), mill.release_history("company")) == (before, moves)


def test_a_passed_gate_against_what_is_live_lets_a_candidate_go_live(company: Loremill, candidate: Release) -> None:
    before = live(company)
    promoted(company, candidate)
    now = live(company)
    assert now.gate is not None
    assert (now.gate["baseline"], now.gate["dataset"]) == (before.id, "company@1a2b")
    last, first = company.release_history("company")
    assert (last.kind, last.release, last.previous, last.by) == ("promote", candidate.id, before.id, "operator")
    assert (first.kind, first.release, first.previous) == ("ingest", before.id, None)
    assert company.promote(candidate.id, collection="company") is None, "it is live already"


def test_without_a_gate_nothing_goes_live(company: Loremill, candidate: Release) -> None:
    refused(company, candidate, "no gate record compares")


@pytest.mark.parametrize("verdict", ["FAIL", "INCONCLUSIVE"])
def test_a_gate_that_did_not_pass_lets_nothing_go_live_even_if_an_older_one_did(
    company: Loremill, candidate: Release, verdict: str
) -> None:
    gate(company, candidate)
    gate(company, candidate, verdict=verdict)
    refused(company, candidate, f"ended in {verdict}")
    gate(company, candidate)
    gate(company, candidate, verdict=verdict, dataset="other@1")
    refused(company, candidate, f"on other@1 ended in {verdict}")
    assert company.promote(candidate.id, collection="company", dataset="company@1a2b") is not None


def test_an_old_gate_counts_for_nothing(company: Loremill, candidate: Release) -> None:
    old = datetime.now(UTC) - timedelta(hours=169)
    gate(company, candidate, created=old.isoformat())
    refused(company, candidate, "not of the last 168 hours")


def test_a_gate_of_the_future_counts_for_nothing(company: Loremill, candidate: Release) -> None:
    gate(company, candidate, created=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    refused(company, candidate, "not of the last")


def test_a_gate_against_what_is_live_no_more_says_so(
    company: Loremill, candidate: Release, write_tree: WriteTree
) -> None:
    gate(company, candidate)
    before = live(company).id
    company.ingest(write_tree({"new.md": "A new page."}), collection="company")
    refused(company, candidate, "documents that have changed since")
    renewed = company.create_release("company", base=candidate.id)
    assert renewed.build == live(company).build
    gate(company, renewed, baseline=before)
    refused(company, renewed, f"compare it with {before}, and {live(company).id} is live now")
    promoted(company, renewed)


@pytest.mark.parametrize("force", [{}, {"force": True, "reason": "urgent"}])
def test_a_candidate_of_older_documents_never_goes_live(
    company: Loremill, write_tree: WriteTree, force: dict[str, Any]
) -> None:
    candidate = company.create_release("company", index=SMALL)
    company.ingest(write_tree({"leave.md": "Parental leave is 30 weeks now."}), collection="company")
    gate(company, candidate)
    refused(company, candidate, "an older state", **force)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": "MAYBE"}, "MAYBE"),
        ({"dataset": "company"}, "NAME@VERSION"),
        ({"created": "yesterday"}, "ISO 8601"),
        ({"gates": ""}, "lacks gates"),
        ({"report": None}, "lacks report"),
    ],
)
def test_a_malformed_gate_record_is_refused(
    company: Loremill, candidate: Release, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        gate(company, candidate, **changes)
    assert company.gates("company") == []


def test_force_takes_a_reason_that_history_and_audit_log_show(company: Loremill, candidate: Release) -> None:
    with pytest.raises(ConfigError, match="reason"):
        company.promote(candidate.id, collection="company", force=True, reason=" ")
    refused(company, candidate, "no gate record")
    company.promote(candidate.id, collection="company", force=True, reason="the old one is down")
    move = company.release_history("company")[0]
    assert (move.kind, move.reason, move.gate) == ("force", "the old one is down", None)
    log = AuditLog.of(company.home / "tenants" / "halden", company.settings)
    told = [record["detail"] for record in log.read(kind="release")]
    assert [one["action"] for one in told] == ["create", "promote", "force"]
    assert told[1]["refused"] == "PromotionRefused"
    assert (told[2]["release"], told[2]["reason"]) == (candidate.id, "the old one is down")


def test_what_cannot_be_written_down_does_not_happen(
    company: Loremill, candidate: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate(company, candidate)
    before = live(company).id

    def full(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(company._tenant("halden").auditor, "did", full)
    with pytest.raises(OSError, match="full"):
        company.promote(candidate.id, collection="company")
    assert live(company).id == before
    assert len(company.release_history("company")) == 1


# -- what ingestions do once promotion governs -------------------------------------------------------------------------


def test_documents_change_under_the_promoted_settings_whatever_the_homes_settings_say(
    company: Loremill, open_mill: OpenMill, docs: Path, write_tree: WriteTree
) -> None:
    promoted(company, company.create_release("company", index=SMALL, retrieval={"passages": 3}))
    small = len(texts(company))
    other = open_mill(diversity=0.3, chunk_tokens=100)
    assert other.ingest(docs, collection="company").documents.unchanged == 3
    assert len(texts(company)) == small
    write_tree({"leave.md": "# Parental leave\n\nParental leave is 30 weeks for everyone.\n"})
    report = other.ingest(docs, collection="company")
    assert report.documents.updated == 1
    assert any("chunk_tokens" in warning for warning in report.warnings)
    now = live(company)
    assert (now.id, now.retrieval["passages"], now.retrieval["diversity"]) == (report.release, 3, 0.0)
    assert now.index["chunk_tokens"] == 24
    assert any("30 weeks" in text for text in texts(company))
    assert company.verify("company").ok


def test_where_promotion_is_gated_changed_settings_wait_from_the_first_release_on(
    open_mill: OpenMill, docs: Path
) -> None:
    first = open_mill().ingest(docs, collection="company").release
    gated = open_mill(promotion="gated", rerank_depth=5, chunk_tokens=64)
    assert gated.ingest(docs, collection="company", full=True).release == first
    assert open_mill(rerank_depth=5).ingest(docs, collection="company").release != first, "auto releases them"


def test_an_ingestion_that_another_way_to_cut_overtakes_changes_nothing_and_says_so(
    company: Loremill, open_mill: OpenMill, docs: Path, write_tree: WriteTree
) -> None:
    candidate = company.create_release("company", index=SMALL)
    write_tree({"new.md": "A new page."})
    overtaken = threading.Event()

    def overtake(stage: str, _done: int, _total: int | None) -> None:
        if stage == "build" and not overtaken.is_set():
            overtaken.set()
            company.promote(candidate.id, collection="company", force=True, reason="test")

    with pytest.raises(Busy, match="ingest again"):
        open_mill().ingest(docs, collection="company", progress=overtake)
    assert live(company).id == candidate.id
    assert company.ingest(docs, collection="company").documents.added == 1
    assert live(company).index["chunk_tokens"] == 24
    assert company.verify("company").ok


# -- rollback ----------------------------------------------------------------------------------------------------------


def test_a_rollback_brings_back_the_settings_of_before_over_the_documents_of_now(
    company: Loremill, candidate: Release, docs: Path, write_tree: WriteTree
) -> None:
    before = live(company)
    promoted(company, candidate)
    write_tree({"leave.md": "Parental leave is 30 weeks now."})
    company.ingest(docs, collection="company")
    move = company.rollback(collection="company", reason="worse answers")
    now = live(company)
    assert (move.kind, move.reason, move.release) == ("rollback", "worse answers", now.id)
    assert now.retrieval["passages"] == before.retrieval["passages"] == 12
    assert any("30 weeks" in text for text in texts(company))
    assert company.ingest(docs, collection="company").release == now.id


def test_a_rollback_to_another_way_to_cut_serves_the_very_release_of_before(company: Loremill) -> None:
    before, found = live(company), texts(company)
    candidate = company.create_release("company", index=SMALL)
    promoted(company, candidate)
    small = texts(company)
    assert len(small) > len(found)
    assert sum(info.chunks for info in company.documents(collection="company", principal=ALICE)) == len(small)
    assert company.verify("company").ok
    assert sum(info.chunks for info in company.documents(collection="company", principal=ALICE)) == len(small)
    company.rollback(collection="company", reason="test")
    assert (live(company).id, texts(company)) == (before.id, found)
    assert company.verify("company").ok
    company.rollback(collection="company", reason="test", to=candidate.id)
    assert (live(company).id, texts(company)) == (candidate.id, small)


def test_a_rollback_never_brings_back_older_documents(company: Loremill, docs: Path, write_tree: WriteTree) -> None:
    before = live(company)
    promoted(company, company.create_release("company", index=SMALL))
    company.ingest(write_tree({"leave.md": "Parental leave is 30 weeks now."}), collection="company")
    with pytest.raises(PromotionRefused, match=f"release create --collection company --from {before.id}"):
        company.rollback(collection="company", reason="test")
    again = company.create_release("company", base=before.id)
    assert again.index == before.index
    company.promote(again.id, collection="company", force=True, reason="worse answers")
    assert any("30 weeks" in text for text in texts(company))


def test_a_rollback_goes_only_to_what_was_live(company: Loremill, candidate: Release) -> None:
    with pytest.raises(PromotionRefused, match="nothing to go back to"):
        company.rollback(collection="company", reason="test")
    with pytest.raises(ReleaseNotFound, match="never live"):
        company.rollback(collection="company", reason="test", to=candidate.id)
    with pytest.raises(ConfigError, match="reason"):
        company.rollback(collection="company", reason="")


def test_builds_of_the_present_documents_are_kept_and_others_go(
    company: Loremill, docs: Path, write_tree: WriteTree
) -> None:
    candidate = company.create_release("company", index=SMALL)
    folder = company.home / "tenants" / "halden" / "collections" / "company" / "builds"
    for tokens in (30, 40, 50, 60):
        company.create_release("company", index={"chunk_tokens": tokens})
    assert (folder / candidate.build).exists()
    for number in range(3):
        company.ingest(write_tree({"new.md": f"Page {number}."}), collection="company")
    assert len(list(folder.iterdir())) == 3
    with pytest.raises(ReleaseNotFound, match="release create"):
        company.search("kiln", collection="company", principal=ALICE, release=candidate.id)
    with company._tenant("halden").catalog.read() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM cut_chunks").scalar() == 0
