from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.arrays import Float32Matrix
from indexes.vocabulary import Hit
from rag.claims import split_markers
from rag.facts import disagreement, facts
from rag.grounding import Evidence, attach_citations, check_support, verify_sentence
from rag.passages import Passage
from rag.sentences import sentence_spans


def passages(*texts: str, title: str = "Leave policy") -> list[Passage]:
    return [Passage(n, Hit(n, 1.0, "d", "c", "u", title, text, 0, len(text), {})) for n, text in enumerate(texts, 1)]


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("Notice is thirty days.", "Notice is 30 days."),
        ("It costs 1,000 euros.", "It costs EUR 1 000."),
        ("It costs €1.5 million.", "Cost: 1,500,000 EUR"),
        ("The rate is 5 percent.", "The rate is 5 %."),
        ("It starts on 1 March 2026.", "From 2026-03-01 on."),
        ("It starts March 1, 2026.", "From 01.03.2026 on."),
        ("It starts in March 2026.", "It starts 1 March 2026."),
        ("It started in 2026.", "It started on 2026-03-01."),
        ("Open from 9 am to 5 pm.", "Open 09:00-17:00."),
        ("The HX-200 weighs 5 kg.", "HX200: 5 kg"),
        ("It takes five working days.", "It takes 5 business days."),
        ("Bake at 350°F.", "Bake at 350 degrees F."),
        ("It takes 5-10 days.", "It takes 5 to 10 days."),
        ("At most 30 days.", "No more than 30 days."),
        ("It is due within 30 days.", "It is due no later than 30 days."),
        ("Two hundred people came.", "200 people came."),
        ("It can not be carried over.", "It can't be carried over."),
        ("Ask the HR team.", "Ask the Human Resources team."),
        ("Leave takes 20 weeks.", "| Leave in weeks | 20 |"),
        ("Not only staff but guests may enter.", "Staff and guests may enter."),
    ],
)
def test_facts_written_differently_agree(sentence: str, source: str) -> None:
    assert disagreement(facts(sentence), facts(source)) == ""


@pytest.mark.parametrize(
    ("sentence", "source", "fault"),
    [
        ("Notice is 30 days.", "Notice is 90 days.", "number 30 day"),
        ("Notice is 30 days.", "Notice is 30 weeks.", "number 30 day"),
        ("It costs 30 USD.", "It costs 30 EUR.", "number 30 USD"),
        ("At least 5 days.", "At most 5 days.", "number 5 day"),
        ("It takes 5 working days.", "It takes 5 calendar days.", "number 5 working day"),
        ("It starts on 2 March 2026.", "It starts 2026-03-01.", "date 2026-03-02"),
        ("It starts on 1 March 2026.", "It starts on 1 March 2025.", "date 2026-03-01"),
        ("It opens at 9 am.", "It opens at 9 pm.", "time 09:00"),
        ("The HX-300 weighs 5 kg.", "The HX-200 weighs 5 kg.", "code hx300"),
        ("Ask Anna in Brno.", "Ask Anna in Malmö.", "name brno"),
        ("Leave can be carried over.", "Leave cannot be carried over.", "negation of 'carri'"),
        ("Leave cannot be carried over.", "Leave can be carried over.", "negation that the source"),
        ("Contractors get a bonus.", "All staff except contractors get a bonus.", "negation of 'contractor'"),
        ("A receipt is needed.", "Refunds work without a receipt.", "negation of 'receipt'"),
        ("Deposits are refundable.", "Deposits are non-refundable.", "negation of 'refund'"),
    ],
)
def test_another_number_unit_date_name_or_negation_is_a_disagreement(sentence: str, source: str, fault: str) -> None:
    assert disagreement(facts(sentence), facts(source)).startswith(fault)
    assert not verify_sentence(sentence, [(1, source)]).supported


def test_each_source_is_judged_for_itself() -> None:
    sources = [(1, "Notice is 90 days."), (2, "Notice is 30 days."), (3, "Notice is 30 days in all cases.")]
    verdict = verify_sentence("Notice is 30 days [1].", sources)
    assert (verdict.supported, verdict.markers) == (True, (2, 3))


def test_a_verdict_says_why_not() -> None:
    assert verify_sentence("Notice is 30 days.", [(1, "Notice is 90 days.")]).reason == "number 30 day does not agree"
    assert (
        verify_sentence("Bananas are yellow.", [(1, "Notice is 90 days.")]).reason
        == "too few of its words stand in the passages"
    )
    assert verify_sentence("Notice is 30 days.", []).reason == "no source is cited"
    assert not verify_sentence("It is so.", [(1, "It is so.")]).supported


def test_likeness_by_the_embedder_lets_a_rewording_pass_but_never_another_number() -> None:
    def same(texts: list[str]) -> Float32Matrix:
        return np.full((len(texts), 1), 1.0, dtype=np.float32)

    def different(texts: list[str]) -> Float32Matrix:
        return np.eye(len(texts), dtype=np.float32)

    source = [(1, "Every employee receives paid parental leave of 20 weeks.")]
    reworded = "Staff get 20 weeks off as fresh parental carers with leave."
    assert not verify_sentence(reworded, source).supported
    assert verify_sentence(reworded, source, embed=same).supported
    assert not verify_sentence(reworded, source, embed=different).supported
    assert not verify_sentence(reworded.replace("20", "21"), source, embed=same).supported


LEAVE = "# Sweden\n\nLeave is 20 weeks. It is fully paid.\n\n- Managers approve it."
BRNO = "Leave is 26 weeks in Brno.\n\n| Country | Weeks |\n|---|---|\n| Norway | 30 |"


def cited(sentence: str, *texts: str) -> list[tuple[int, str]]:
    return [
        (span.marker, texts[span.marker - 1][span.start : span.end])
        for span in attach_citations(sentence, passages(*texts)).citations
    ]


def test_a_written_marker_is_kept_where_its_passage_supports_the_sentence() -> None:
    assert cited("It is fully paid [1].", LEAVE, "It is fully paid.") == [(1, "It is fully paid.")]
    assert cited("It is fully paid [2].", LEAVE, "It is fully paid.") == [(2, "It is fully paid.")]
    assert cited("It is fully paid [1, 2].", LEAVE, "It is fully paid.") == [
        (1, "It is fully paid."),
        (2, "It is fully paid."),
    ]


def test_a_wrong_marker_is_replaced_by_the_passage_that_does_support_the_sentence() -> None:
    assert cited("Leave is 26 weeks [1].", LEAVE, BRNO) == [(2, "Leave is 26 weeks in Brno.")]
    assert cited("Leave is 26 weeks [9].", LEAVE, BRNO) == [(2, "Leave is 26 weeks in Brno.")]


def test_a_sentence_without_a_marker_gets_one() -> None:
    assert cited("Managers approve it.", LEAVE, BRNO) == [(1, "Managers approve it.")]


def test_a_sentence_that_nothing_supports_has_no_citation_and_a_reason() -> None:
    attached = attach_citations("Leave is 27 weeks [1][2].", passages(LEAVE, BRNO))
    assert (attached.supported, attached.citations, attached.text) == (False, (), "Leave is 27 weeks.")
    assert attached.reason == "number 27 week does not agree"
    assert attach_citations("Leave is 27 weeks.", []).reason == "there are no passages"


def test_headings_and_title_bear_out_names_but_no_numbers() -> None:
    assert cited("Leave in Sweden is 20 weeks.", LEAVE) == [(1, "Leave is 20 weeks.")]
    assert cited("Leave in Sweden is 30 weeks.", LEAVE.replace("Sweden", "Sweden 30")) == []


def test_a_table_row_is_read_with_its_header() -> None:
    assert cited("Norway has 30 weeks [2].", LEAVE, BRNO) == [(2, "| Norway | 30 |")]


def test_two_neighbouring_sentences_may_support_one() -> None:
    assert cited("Leave is 20 weeks and fully paid.", LEAVE) == [(1, "Leave is 20 weeks. It is fully paid.")]


def test_two_written_passages_may_support_a_sentence_together() -> None:
    found = cited("Managers approve it, and it is 26 weeks in Brno [1][2].", LEAVE, BRNO)
    assert found == [(1, "Managers approve it."), (2, "Leave is 26 weeks in Brno.")]


@pytest.mark.parametrize(
    ("sentence", "text", "numbers"),
    [
        ("A is B [1].", "A is B.", [1]),
        ("A is B.[2][3]", "A is B.", [2, 3]),
        ("A is B [1, 2; 1].", "A is B.", [1, 2]),
        ("A is B【3†source】.", "A is B.", [3]),
        ("A is B (passages 1 and 3).", "A is B.", [1, 3]),
        ("A is [1](b).", "A is [1](b).", []),
    ],
)
def test_markers_of_all_habits_are_read(sentence: str, text: str, numbers: list[int]) -> None:
    assert split_markers(sentence) == (text, numbers)


WORDS = st.lists(
    st.sampled_from(
        ["leave", "notice", "Brno", "30", "90", "days", "weeks", "not", "paid", "HX-200", "2026-03-01", "the", "of"]
    ),
    min_size=1,
    max_size=12,
)


@given(st.lists(WORDS.map(lambda words: "Rule " + " ".join(words) + "."), min_size=1, max_size=4))
def test_a_sentence_of_a_passage_is_always_supported_by_that_passage(sentences: list[str]) -> None:
    text = " ".join(sentences)
    evidence = Evidence(passages(text))
    for start, end in sentence_spans(text):
        attached = attach_citations(text[start:end], evidence)
        assert attached.supported
        assert 0.0 <= attached.support <= 1.0
        assert all(0 <= span.start < span.end <= len(text) for span in attached.citations)


@given(st.text(max_size=80), st.lists(st.text(max_size=80), max_size=3))
def test_any_text_has_a_support_between_zero_and_one(answer: str, texts: list[str]) -> None:
    support = check_support(answer, texts)
    assert 0.0 <= support.score <= 1.0
    assert all(0.0 <= sentence.support <= 1.0 for sentence in support.sentences)


def test_check_support_ranks_a_quotation_over_a_rewording_over_a_contradiction_and_an_invention() -> None:
    source = ["The notice period is 30 days for all employees in Sweden."]
    quotation, rewording, contradiction, invention = (
        check_support(answer, source).score
        for answer in (
            "The notice period is 30 days for all employees in Sweden.",
            "Employees in Sweden have a notice period of 30 days.",
            "The notice period is 90 days for all employees in Sweden.",
            "Bananas were first grown on Mars by 12 astronauts from Peru, as the newspaper Correo reported.",
        )
    )
    assert quotation > rewording > 0.75
    assert contradiction <= 0.4
    assert invention <= 0.4


def test_one_unsupported_sentence_lowers_the_whole_answer() -> None:
    support = check_support("Leave is 20 weeks. Leave is 99 weeks.", ["Leave is 20 weeks."])
    assert [sentence.supported for sentence in support.sentences] == [True, False]
    assert support.score < 0.5


def test_an_answer_that_says_nothing_is_supported_and_one_without_passages_is_not() -> None:
    assert check_support("", ["x"]).score == 1.0
    assert check_support("Leave is 20 weeks.", []).score == 0.0


def test_importing_the_checks_brings_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "faiss", "openai", "snowballstemmer"]
    code = f"import sys, rag.grounding; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
