"""The gate's reports: what each of the four files says, that nothing in them is more than text, and all or none."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from eval.amounts import is_time
from eval.gate import Verdict
from eval.reports import Side, write_reports
from eval.reports.changes import changed, changes, loss, moved
from eval.reports.content import report_json, timeless
from eval.reports.junit import report_junit
from eval.reports.markdown import MOST_CHARACTERS, code, escape, report_markdown
from eval.reports.page import report_html
from indexes.errors import ConfigError
from tests.eval.report_samples import GATES, HOSTILE, gate

NAMES = {"report.json", "report.md", "junit.xml", "report.html"}


class Tags(HTMLParser):
    """Collects what a browser would take for tags and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_sample_is_a_fail_for_one_metric() -> None:
    result, questions, _ = gate()
    assert result.verdict == Verdict.FAIL
    assert [metric.verdict for metric in result.metrics.values()].count(Verdict.FAIL) == 1
    assert len(questions) == result.questions == 40


def test_all_four_files_are_written_for_their_owner_alone(tmp_path: Path) -> None:
    paths = write_reports(tmp_path / "new" / "out", *gate())
    assert set(paths) == NAMES == {path.name for path in (tmp_path / "new" / "out").iterdir()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths.values()} == {0o600}


def test_a_second_report_takes_the_place_of_the_first(tmp_path: Path) -> None:
    write_reports(tmp_path, *gate(hostile="zanzibar"))
    (tmp_path / "report.md").chmod(0o644)
    paths = write_reports(tmp_path, *gate())
    assert all("zanzibar" not in path.read_text() for path in paths.values())
    assert stat.S_IMODE(paths["report.md"].stat().st_mode) == 0o600
    assert set(os.listdir(tmp_path)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_file_that_cannot_be_replaced_leaves_no_half_report_and_names_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "in the way").mkdir(parents=True)
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        write_reports(tmp_path, *gate())
    assert os.listdir(tmp_path) == [name]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=f"cannot write reports to {tmp_path / 'file'}"):
        write_reports(tmp_path / "file", *gate())


def test_report_json_begins_with_the_gates_result_and_ends_with_the_times() -> None:
    result, questions, context = gate()
    report = json.loads(report_json(result, questions, context))
    head = json.loads(json.dumps(result.to_json()))
    assert {name: report[name] for name in head} == head
    assert list(report)[: len(head)] == list(head)
    assert list(report)[-1] == "times"
    assert report["times"]["created"] == context.created
    assert report["times"]["questions"]["q003"] == {"baseline": {"latency_ms": 13}, "candidate": {"latency_ms": 14}}
    assert report["per_question"][0]["candidate"]["scores"] == {"false_abstention": 0, "leaks": 0, "ndcg@10": 0}


def test_equal_input_gives_equal_bytes_and_times_are_the_only_difference() -> None:
    result, questions, context = gate()
    assert report_json(result, questions, context) == report_json(*gate())
    slower = [replace(question, baseline=_slower(question.baseline)) for question in questions]
    kept = {**context.candidate, "live": True, "gate": {"verdict": "FAIL"}}
    later = replace(context, candidate=kept, created="2027-01-01T00:00:00+00:00", seconds={"compare": 9.0})
    one, other = (json.loads(text) for text in (report_json(*gate()), report_json(result, slower, later)))
    assert one != other
    assert timeless(one) == timeless(other)
    assert "latency_p95_ms" not in timeless(one)["metrics"]


def _slower(side: Side) -> Side:
    return replace(side, latency_ms=side.latency_ms * 2, scores={**side.scores, "latency_ms": side.latency_ms * 2})


def test_report_json_junit_and_markdown_hold_no_text_of_documents_and_no_answer() -> None:
    given = gate()
    for text in (report_json(*given), report_markdown(*given), report_junit(given[0], given[2])):
        for words in ("so the handbook", "weeks at", "Nothing of the kind", "It is long"):
            assert words not in text


def test_junit_shows_fail_as_failure_and_inconclusive_as_error_and_never_as_passed() -> None:
    result, _, context = gate()
    verdicts = iter([Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.PASS])
    metrics = {name: replace(metric, verdict=next(verdicts)) for name, metric in result.metrics.items()}
    suite = Xml.fromstring(report_junit(replace(result, metrics=metrics), context))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == list(metrics)
    assert [[child.tag for child in case if child.tag != "system-out"] for case in cases] == [
        ["failure"],
        ["error"],
        [],
        [],
    ]
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties["candidate"] == "r-new"
    assert properties["verdict"] == "FAIL"


def test_junit_is_xml_whatever_the_names_hold() -> None:
    result, _, context = gate(hostile=HOSTILE)
    assert Xml.fromstring(report_junit(result, context))[0].get("name", "").startswith("company@")


def test_markdown_says_the_verdict_first_then_reasons_metrics_and_the_worst() -> None:
    text = report_markdown(*gate())
    assert text.startswith("## ❌ FAIL: the candidate is worse than allowed on 1 of 4 metrics")
    order = [
        "- ndcg@\u200b10: ",
        "| metric | verdict |",
        "14 questions changed, 12 of them for the worse.",
        "### The worst",
        "`q000`",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "answered → abstained" in text


def test_markdown_says_how_many_questions_would_settle_it() -> None:
    result, questions, context = gate(count=8, lost=0)
    assert result.verdict == Verdict.INCONCLUSIVE
    assert result.needed
    assert f"About {result.needed:,} questions would settle what is open" in report_markdown(result, questions, context)


def test_hostile_texts_are_no_markup_in_markdown() -> None:
    text = report_markdown(*gate(hostile=HOSTILE))
    prose = re.sub(r"`[^`]*`", "", text)  # code spans show what is in them
    assert not re.search(r"<[a-zA-Z/!]", prose)
    assert not re.search(r"[@#!](?=\w)|://|www\.", re.sub(r"^#+ ", "", prose, flags=re.MULTILINE))
    assert "**bold**" not in prose
    assert not re.search(r"(?<!\\)\]\(", prose)
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>", "&lt;b&gt;"),
        ("@team", "@\u200bteam"),
        ("see #12 and !3", "see #\u200b12 and !\u200b3"),
        ("a\n/close", "a /close"),
        ("[x](y)", "\\[x\\](y)"),
        ("http://a", "http:\u200b//a"),
        ("&lt;", "&amp;\u200blt;"),
        ("GH-7", "GH\u200b-7"),
    ],
)
def test_markdown_of(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_code_spans_cannot_be_left() -> None:
    assert code("a`b") == "`a'b`"
    assert code("") == "` `"


def test_markdown_stays_short_whatever_comes() -> None:
    huge = HOSTILE + "&<>" * 5000
    result, questions, context = gate(count=60, hostile=huge)
    metric = next(iter(result.metrics.values()))
    many = {f"m{place}{huge}": replace(metric, reason=huge) for place in range(200)}
    result = replace(result, metrics=many, reasons=tuple(huge for _ in range(200)))
    assert len(report_markdown(result, questions, context)) < MOST_CHARACTERS


def test_hostile_texts_bring_no_tag_and_no_attribute_into_the_page() -> None:
    plain, hostile = Tags(report_html(*gate())), Tags(report_html(*gate(hostile=HOSTILE)))
    assert set(hostile.tags) - set(plain.tags) <= {"ul", "li", "q"}
    assert hostile.tags.count("script") == plain.tags.count("script") == 1
    assert hostile.attributes == plain.attributes
    assert not any(name.startswith("on") or name in ("style", "src") for name in hostile.attributes)


def test_the_page_asks_for_nothing_and_its_policy_names_its_style_and_script() -> None:
    page = report_html(*gate())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert policy[1].startswith("default-src &#39;none&#39;; style-src &#39;sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r"""(src|href)=["'](?!#)""", page)


def test_the_page_names_whose_texts_it_holds() -> None:
    page = report_html(*gate())
    banner = re.search(r"contains text readable by: (.*?)Give", page, re.DOTALL)
    assert banner
    assert re.findall(r"<span[^>]*>([^<]+)</span>", banner[1]) == ["alice", "bob"]


def test_support_is_highlighted_in_its_passage() -> None:
    assert "so the handbook: <mark>It is 5 weeks at full pay.</mark> " in report_html(*gate())


def test_the_worst_question_comes_first() -> None:
    ids = re.findall(r'class="id">(q\d+)<', report_html(*gate()))
    assert ids[:12] == [f"q{place:03}" for place in range(12)]
    assert len(ids) == 40


def test_a_question_that_is_alike_on_both_sides_is_shown_once() -> None:
    assert report_html(*gate()).count("Baseline and candidate alike") == 40 - 14


def test_amounts_make_no_question_a_changed_one_and_a_failed_judgement_does() -> None:
    _, questions, _ = gate()
    same = questions[20]
    slow = replace(same, candidate=_slower(same.candidate))
    assert not changed(slow, changes(slow, GATES))
    unjudged = replace(same, candidate=replace(same.candidate, scores={**same.candidate.scores, "ndcg@10": None}))
    rows = changes(unjudged, GATES)
    assert changed(unjudged, rows)
    assert [row.metric for row in moved(rows)] == ["ndcg@10"]
    assert loss(rows, GATES) == 1.0


def test_less_is_better_of_what_the_gates_say_so() -> None:
    _, questions, _ = gate()
    worse = replace(questions[20], candidate=replace(questions[20].baseline, scores={"false_abstention": 1.0}))
    gains = {row.metric: row.gain for row in changes(worse, GATES)}
    assert gains["false_abstention"] == -1.0


def test_no_question_and_no_plot_make_a_page_too() -> None:
    result, _, context = gate()
    page = report_html(result, [], replace(context, seconds={}, diff={}, risk_coverage={}))
    assert "0 of 0 changed" in page


def test_the_digest_is_of_all_but_times_and_names_what_was_found() -> None:
    result, questions, context = gate()
    slower = [replace(question, baseline=_slower(question.baseline)) for question in questions]
    first, second, other = (
        json.loads(report_json(result, questions, context)),
        json.loads(report_json(result, slower, replace(context, created="2027-01-01T00:00:00+00:00", seconds={}))),
        json.loads(report_json(*gate(lost=11))),
    )
    assert first["digest"] == second["digest"] != other["digest"]


def test_a_verdict_that_a_time_decided_is_not_what_two_runs_have_in_common() -> None:
    decided = replace(
        gate()[0],
        verdict=Verdict.FAIL,
        reasons=("latency_p95_ms: slow",),
        needed=900,
        metrics={
            name: replace(one, verdict=Verdict.FAIL if is_time(name) else Verdict.PASS, needed=None)
            for name, one in gate()[0].metrics.items()
        },
    )
    rest = timeless(json.loads(report_json(decided, *gate()[1:])))
    assert (rest["verdict"], rest["needed"]) == ("PASS", None)
    assert [reason.partition(":")[0] for reason in rest["reasons"]] == ["ndcg@10", "false_abstention", "leaks"]


def test_why_a_judgement_failed_is_in_the_page_and_in_nothing_that_has_more_readers() -> None:
    result, questions, context = gate()
    reason = "the judge's JSON is broken: <b>weeks</b>"
    side = replace(questions[0].baseline, scores={"faithfulness": None}, faults={"faithfulness": reason})
    given = (result, [replace(questions[0], baseline=side), *questions[1:]], context)
    page = report_html(*given)
    assert "Not judged by <code>faithfulness</code>: the judge&#39;s JSON is broken: &lt;b&gt;weeks" in page
    for text in (report_json(*given), report_markdown(*given), report_junit(result, context)):
        assert "is broken" not in text
