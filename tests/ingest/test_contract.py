"""A contract lets in what it does not speak of, and names everything that is wrong with the rest."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import ConfigFileError, ContractViolation, PiiFound
from ingest.contract import Contract
from ingest.parse import FORMATS

TODAY = date(2026, 11, 21)
ENGLISH = "The employee handbook describes parental leave and the rules for travel expenses in detail."
GERMAN = "Das Handbuch beschreibt die Elternzeit und die Regeln für Reisekosten im Einzelnen."
FULL = """
require: [owner, department]
languages: [en, de]
types: [md, .pdf, docx]
size: {max_bytes: 20000000, min_chars: 20, max_chars: 2000000}
freshness: {field: updated, max_age_days: 365}
pii: {policy: redact, types: [EMAIL_ADDRESS, CREDIT_CARD], threshold: 0.5}
duplicates: {exact: true, near: 0.9}
"""


def load(tmp_path: Path, text: str) -> Contract:
    path = tmp_path / "contract.yaml"
    path.write_text(text, "utf-8")
    return Contract.load(path)


@given(
    st.text(max_size=50),
    st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5)),
    st.sampled_from([*FORMATS, "", "exe"]),
)
def test_an_empty_contract_allows_everything(text: str, metadata: dict[str, object], format: str) -> None:
    contract = Contract()
    contract.check_item(format=format, size=10**12)
    contract.check_document(text=text, metadata=metadata, format=format)
    contract.check_freshness(metadata, today=TODAY)
    assert contract.screen(text) == (text, ())
    assert contract.name == ""


def test_every_key_is_read(tmp_path: Path) -> None:
    contract = load(tmp_path, FULL)
    assert contract.require == ("department", "owner")
    assert contract.types == ("docx", "md", "pdf")
    assert (contract.size.max_bytes, contract.size.min_chars, contract.size.max_chars) == (20_000_000, 20, 2_000_000)
    assert contract.freshness
    assert (contract.freshness.field, contract.freshness.max_age_days, contract.freshness.optional) == (
        "updated",
        365,
        False,
    )
    assert (contract.pii.policy, contract.pii.types) == ("redact", ("CREDIT_CARD", "EMAIL_ADDRESS"))
    assert (contract.duplicates.exact, contract.duplicates.near) == (True, 0.9)


@pytest.mark.parametrize(
    "empty", ["", "# nothing\n", "{}", "pii: off", "duplicates: {near: off}", "size: {}", "languages: []"]
)
def test_files_that_ask_for_nothing_are_the_empty_contract(tmp_path: Path, empty: str) -> None:
    assert load(tmp_path, empty) == Contract()
    assert load(tmp_path, empty).name == ""


def test_the_name_is_that_of_the_rules_and_not_of_how_they_are_written(tmp_path: Path) -> None:
    lines = [line for line in FULL.splitlines() if line]
    random.Random(1).shuffle(lines)
    again = (
        "\n".join(lines)
        .replace("[en, de]", "[de, en, de]")
        .replace(".pdf", "pdf")
        .replace("365}", "365, optional: false}")
    )
    assert load(tmp_path, again).name == load(tmp_path, FULL).name
    names = {
        load(tmp_path, text).name
        for text in ("", FULL, FULL.replace("365", "366"), FULL.replace("0.9", "0.8"), "pii: tag")
    }
    assert len(names) == 5
    assert load(tmp_path, "pii: redact").name == "b033bfa88825"  # stored with documents: it must not drift


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: {max: 3}", r":1: size\.max: unknown key; there are max_bytes, min_chars, max_chars"),
        ("\nfoo: 1", r":2: foo: unknown key; there are require, languages"),
        ("size:\n  max_bytes: -1", r":2: size\.max_bytes: .*greater than or equal to 1"),
        ("size:\n  max_bytes: '5'", r":2: size\.max_bytes: .*integer"),
        ("size: {min_chars: 9, max_chars: 3}", r":1: size: no text fits"),
        ("size: 3", ":1: size: must be a mapping"),
        ("require: owner", ":1: require: must be a list"),
        ("languages:\n - en\n - no", r":3: languages\.1: .*write it in quotes"),
        ("languages: [xx]", ":1: languages: xx: no language that can be told; there are af, "),
        ("types: [exe]", ":1: types: exe: no such format; there are csv, "),
        ("freshness: {max_age_days: 3}", r":1: freshness\.field: is missing"),
        ("pii: shred", r":1: pii\.policy: .*'off', 'tag', 'redact' or 'quarantine'"),
        ("pii: {policy: tag, types: []}", r":1: pii\.types: .*at least 1 item"),
        ("duplicates: {near: 1.5}", r":1: duplicates\.near: .*less than or equal to 1"),
        ("duplicates: {near: on}", r":1: duplicates\.near: .*valid number"),
        ("require: [a]\nrequire: [b]", ":2: 'require' stands there twice"),
        ("size: {max_bytes: 1, max_bytes: 2}", ":1: 'max_bytes' stands there twice"),
        ("- owner", ":1: the file must be a mapping"),
        ("require: [", ":1: not valid YAML"),
        ("size: {max_bytes: 0}\nfoo: 1", r"(?s)size\.max_bytes.*; .*:2: foo: unknown"),
    ],
)
def test_a_fault_in_the_file_is_named_with_its_line_and_what_is_expected(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigFileError, match=message):
        load(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match=r"contract\.yaml: the file cannot be read"):
        Contract.load(tmp_path / "contract.yaml")
    (tmp_path / "contract.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigFileError, match=r"contract\.yaml"):
        Contract.load(tmp_path / "contract.yaml")


def test_a_file_that_refers_to_itself_is_refused_and_not_followed(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="unknown key"):
        load(tmp_path, "foo: &a\n  bar: *a\n")


@pytest.mark.slow
def test_unknown_personal_data_is_named_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match=r":2: pii\.types: no finder of FOO; .*EMAIL_ADDRESS"):
        load(tmp_path, "pii:\n  types: [FOO]\n")


def test_an_item_is_refused_by_format_and_size_before_it_is_read(tmp_path: Path) -> None:
    contract = load(tmp_path, FULL)
    contract.check_item(format="md", size=20_000_000)
    contract.check_item(format="markdown", size=0)
    with pytest.raises(ContractViolation) as caught:
        contract.check_item(format="html", size=20_000_001)
    assert str(caught.value) == (
        "types: the format is html, allowed are docx, md, pdf; convert or exclude it; "
        "size: 20,000,001 bytes, max_bytes is 20,000,000; split the document or raise the limit"
    )
    with pytest.raises(ContractViolation, match="the format is unknown"):
        contract.check_item(format="", size=1)


def test_all_that_is_wrong_with_a_document_is_said_at_once() -> None:
    contract = Contract(require=("owner", "team"), languages=("en",), types=("md",), size={"max_chars": 10})
    with pytest.raises(ContractViolation) as caught:
        contract.check_document(text=GERMAN, metadata={"owner": " ", "team": "it"}, format="pdf")
    for part in (
        "types: the format is pdf",
        "metadata without owner;",
        "83 characters of text, max_chars is 10",
        "the text is in de, allowed are en",
    ):
        assert part in str(caught.value)
    assert "team" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "", " \n", [], {}, ()])
def test_required_metadata_that_says_nothing_counts_as_missing(value: object) -> None:
    with pytest.raises(ContractViolation, match="metadata without owner"):
        Contract(require=("owner",)).check_document(text="x", metadata={"owner": value}, format="md")


@pytest.mark.parametrize("value", [0, False, "alice", ["alice"]])
def test_required_metadata_may_be_zero_or_false(value: object) -> None:
    Contract(require=("owner",)).check_document(text="x", metadata={"owner": value}, format="md")


@pytest.mark.parametrize(("length", "allowed"), [(4, False), (5, True), (9, True), (10, False)])
def test_bounds_of_length_are_inclusive(length: int, allowed: bool) -> None:
    contract = Contract(size={"min_chars": 5, "max_chars": 9})
    if allowed:
        contract.check_document(text="x" * length, metadata={}, format="md")
    else:
        with pytest.raises(ContractViolation, match=f"size: {length} characters"):
            contract.check_document(text="x" * length, metadata={}, format="md")


def test_a_language_is_refused_only_where_it_is_certain() -> None:
    contract = Contract(languages=("de", "nb"))
    assert contract.languages == ("de", "no")
    contract.check_document(text=GERMAN, metadata={}, format="md")
    contract.check_document(text="OK", metadata={}, format="md")
    with pytest.raises(ContractViolation, match="the text is in en, allowed are de, no"):
        contract.check_document(text=ENGLISH, metadata={}, format="md")


@pytest.mark.parametrize(
    "value",
    [
        "2025-11-21",
        " 2026-11-20 ",
        "2026-01-31T23:59:59Z",
        "20260131",
        "2027-05-01",
        "2025-11-20T20:00:00-05:00",  # the 21st in UTC
        date(2026, 1, 1),
        datetime(2026, 1, 1, 12),
        datetime(2025, 11, 21, 0, 30, tzinfo=UTC),
    ],
)
def test_a_date_within_the_age_or_to_come_is_fresh(value: object) -> None:
    Contract(freshness={"field": "updated", "max_age_days": 365}).check_freshness({"updated": value}, today=TODAY)


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("value", ["2025-11-20", date(2025, 11, 20), "2025-11-21T01:00:00+02:00", "0001-01-01"])
def test_an_old_date_is_refused_with_its_age(value: object, optional: bool) -> None:
    contract = Contract(freshness={"field": "updated", "max_age_days": 365, "optional": optional})
    with pytest.raises(
        ContractViolation, match=r"freshness: updated is \d{4}-\d\d-\d\d, [\d,]+ days ago, max_age_days is 365"
    ):
        contract.check_freshness({"updated": value}, today=TODAY)


@pytest.mark.parametrize("value", [None, "", "yesterday", "21.11.2026", 1763700000, "0001-01-01T00:00:00+14:00", []])
def test_a_missing_or_unreadable_date_is_refused_unless_it_is_optional(value: object) -> None:
    with pytest.raises(ContractViolation, match=r"freshness: updated is (missing|.*, not an ISO date)"):
        Contract(freshness={"field": "updated", "max_age_days": 365}).check_freshness({"updated": value}, today=TODAY)
    Contract(freshness={"field": "updated", "max_age_days": 365, "optional": True}).check_freshness(
        {"updated": value}, today=TODAY
    )


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_document_ages_by_the_day(age: int, most: int) -> None:
    contract = Contract(freshness={"field": "day", "max_age_days": most})
    metadata = {"day": (TODAY - timedelta(days=age)).isoformat()}
    if age <= most:
        contract.check_freshness(metadata, today=TODAY)
    else:
        with pytest.raises(ContractViolation):
            contract.check_freshness(metadata, today=TODAY)


SECRET = "Write to jane@example.com, card 4111 1111 1111 1111."


def test_the_policy_on_personal_data_tags_redacts_or_keeps_out() -> None:
    text, spans = Contract(pii="tag").screen(SECRET)
    assert text == SECRET
    assert [SECRET[span.start : span.end] for span in spans] == ["jane@example.com", "4111 1111 1111 1111"]
    text, spans = Contract(pii="redact").screen(SECRET)
    assert text == "Write to <EMAIL_ADDRESS>, card <CREDIT_CARD>."
    assert [text[span.start : span.end] for span in spans] == ["<EMAIL_ADDRESS>", "<CREDIT_CARD>"]
    assert Contract(pii={"policy": "redact", "types": ["CREDIT_CARD"]}).screen(SECRET)[0].startswith("Write to jane@")
    Contract(pii="quarantine").screen("nothing here")


def test_a_document_kept_out_for_personal_data_is_told_types_and_no_values() -> None:
    with pytest.raises(PiiFound) as caught:
        Contract(pii="quarantine").screen(SECRET + " bob@example.com")
    assert "1 CREDIT_CARD, 2 EMAIL_ADDRESS" in str(caught.value)
    assert "jane" not in str(caught.value)
    assert "4111" not in str(caught.value)
