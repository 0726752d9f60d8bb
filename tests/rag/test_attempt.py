"""Rights that are taken while an answer is written, or between two equal questions: what was lost leaves by no event any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import AccessDenied, GeneratorError
from indexes.vocabulary import Acl, Hit, Principal
from rag import Loremill, attempt, writing
from rag.answer import Answer, AnswerEvent
from rag.ask import CHANGED
from rag.generate import Usage
from rag.guard import Guard
from rag.prompts import ABSTAIN, Prompt

RULES = "tenant: halden\ndefault: {{allow: [everyone]}}\nrules:\n  - {{path: 'plan.md', allow: [{}]}}\n"
PLAN = "The kiln will be sold to Norsea in May 2026."
CANTEEN = "The canteen opens at 11:30 every working day."
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": RULES.format("user:bob"),
    "plan.md": f"# Kiln\n\n{PLAN}\n",
    "canteen.md": f"# Canteen\n\n{CANTEEN}\n",
}
BOB = Principal("halden", "user:bob")
KILN = "When will the kiln be sold?"
BOTH = "When will the kiln be sold, and when does the canteen open every day?"
SECRET = "Norsea"

OpenMill = Callable[..., Loremill]
WriteTree = Callable[..., Path]
Revoke = Callable[[], object]


@pytest.fixture
def docs(write_tree: WriteTree) -> Path:
    return write_tree(DOCS)


@pytest.fixture
def mill(open_mill: OpenMill, docs: Path) -> Loremill:
    mill = open_mill()
    mill.ingest(docs, collection="company")
    return mill


@pytest.fixture(params=["deleted", "another may read it", "its text changed"])
def revoke(request: pytest.FixtureRequest, mill: Loremill, open_mill: OpenMill, write_tree: WriteTree) -> Revoke:
    """Takes plan.md away from bob, each way in another process than the one that answers."""
    other = open_mill()

    def delete() -> object:
        return other.delete_document("plan.md", collection="company", principal=BOB)

    def narrow() -> object:
        return other.ingest(write_tree({"acl.yaml": RULES.format("user:carol")}), collection="company")

    def change() -> object:
        return other.ingest(write_tree({"plan.md": "# Mail\n\nLetters are sorted at noon.\n"}), collection="company")

    ways: dict[str, Revoke] = {"deleted": delete, "another may read it": narrow, "its text changed": change}
    return ways[request.param]


@pytest.fixture
def delete(mill: Loremill, open_mill: OpenMill) -> Revoke:
    other = open_mill()
    return lambda: other.delete_document("plan.md", collection="company", principal=BOB)


def ask(mill: Loremill, question: str, **options: Any) -> Answer:
    return mill.ask(question, **{"collection": "company", "principal": BOB, **options})


def stream(mill: Loremill, question: str, **options: Any) -> Iterator[AnswerEvent]:
    return mill.ask_stream(question, **{"collection": "company", "principal": BOB, **options})


def until(events: Iterator[AnswerEvent], kind: str) -> list[AnswerEvent]:
    """The events up to the first of a kind."""
    seen = [next(events)]
    while seen[-1].kind != kind:
        seen.append(next(events))
    return seen


class Writer:
    """A model that writes given pieces, calls what can be called and raises what can be raised; `stopped` says how it ended."""

    name = model = "writer"

    def __init__(self, *pieces: str | Exception | Revoke) -> None:
        self.pieces = pieces
        self.prompts: list[Prompt] = []
        self.stopped: bool | None = None

    def stream(self, prompt: Prompt, *, max_tokens: int) -> Iterator[str | Usage]:
        self.prompts.append(prompt)
        self.stopped = True
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, str):
                yield piece
            else:
                piece()
        self.stopped = False
        yield Usage(50, len(self.pieces))


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Writer]:
    """Puts a writing model in the place of the openai generator."""

    def write(*pieces: str | Exception | Revoke) -> Writer:
        model = Writer(*pieces)
        monkeypatch.setattr("rag.ask.make_generator", lambda name, settings: model)
        return model

    return write


# -- between two equal questions ---------------------------------------------------------------------------------------


def test_what_was_taken_away_is_neither_found_nor_told_when_asked_again_and_does_not_stay_in_memory(
    mill: Loremill, revoke: Revoke
) -> None:
    for _ in range(2):
        assert SECRET in ask(mill, KILN).answer
        assert SECRET in str(mill.search("kiln", collection="company", principal=BOB))
    cache = mill._tenant("halden").retriever.cache
    assert SECRET in repr(cache._values)
    revoke()
    assert SECRET not in str(mill.search("kiln", collection="company", principal=BOB))
    assert SECRET not in repr(cache._values)
    assert SECRET not in str(ask(mill, KILN).to_json())


def test_an_answer_that_is_kept_is_the_same_but_for_its_own_times(
    mill: Loremill, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list(stream(mill, BOTH))
    monkeypatch.setattr(attempt, "extracted", None)
    kept = list(stream(mill, BOTH))
    assert [event.kind for event in kept] == ["passages", "sentence", "sentence", "answer"]
    assert kept[:-1] == made[:-1]
    first, second = dict(made[-1].data), dict(kept[-1].data)
    times = first.pop("timings_ms"), second.pop("timings_ms")
    assert first == second
    assert times[0]["retrieve"] > 0
    assert (times[1]["retrieve"], times[1]["generate"], times[1]["verify"]) == (0, 0, 0)
    assert 0 < times[1]["total"] < times[0]["total"]


def test_an_answer_is_kept_for_the_day_and_for_what_history_makes_of_the_question(
    mill: Loremill, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    original = attempt.extracted

    def counted(found: Any, *args: Any, **options: Any) -> Any:
        made.append(str(options["today"]))
        return original(found, *args, **options)

    monkeypatch.setattr(attempt, "extracted", counted)
    about = [[{"role": "user", "content": content}] for content in (KILN, "When does the canteen open?")]
    for history in (*about, *about):
        ask(mill, "And where?", history=history)
    assert len(made) == 2

    class Tomorrow:
        @staticmethod
        def today() -> Any:
            from datetime import date

            return date(2099, 1, 1)

    monkeypatch.setattr("rag.ask.date", Tomorrow)
    ask(mill, "And where?", history=about[0])
    assert made[2:] == ["2099-01-01"]


def test_a_model_writes_each_answer_itself_and_what_stands_in_for_a_failed_one_does_not_stay(
    mill: Loremill, writer: Callable[..., Writer]
) -> None:
    model = writer(GeneratorError("it broke"))
    assert ask(mill, KILN, generator="openai").notice is not None
    assert ask(mill, KILN).notice is None
    assert ask(mill, KILN, generator="openai").notice is not None
    assert len(model.prompts) == 2


def test_a_kept_answer_whose_chunk_is_gone_is_made_anew_whatever_the_epoch_says(mill: Loremill) -> None:
    assert SECRET in ask(mill, KILN).answer
    catalog = mill._tenant("halden").catalog
    with catalog.write() as db:
        db.exec_driver_sql("DELETE FROM chunks WHERE document_id = 'plan.md'")
    assert SECRET not in str(ask(mill, KILN).to_json())
    assert SECRET not in str(mill.search("kiln", collection="company", principal=BOB))


# -- while extracts are told -------------------------------------------------------------------------------------------


def test_after_a_passage_is_lost_the_answer_has_only_what_is_left_and_no_sentence_is_told_twice(
    mill: Loremill, revoke: Revoke
) -> None:
    events = stream(mill, BOTH)
    assert SECRET in until(events, "sentence")[-1].data["text"]
    revoke()
    *told, last = list(events)
    assert SECRET not in str([event.data for event in (*told, last)])
    assert [event.kind for event in told] == ["sentence"]
    assert last.data["answer"] == f"{CANTEEN} [1]"
    assert last.data["notice"].endswith(CHANGED)


def test_what_is_lost_before_its_sentence_is_told_is_not_told(mill: Loremill, revoke: Revoke) -> None:
    events = stream(mill, "When does the canteen open every day, and when will the kiln be sold?")
    first = until(events, "sentence")
    assert CANTEEN in first[-1].data["text"]
    revoke()
    (last,) = events
    assert SECRET not in str(last.data)
    assert (last.kind, last.data["answer"]) == ("answer", f"{CANTEEN} [1]")


def test_what_is_lost_after_the_last_sentence_is_not_in_the_answer(mill: Loremill, revoke: Revoke) -> None:
    events = stream(mill, KILN)
    until(events, "sentence")
    revoke()
    *_, last = events
    assert SECRET not in str(last.data)
    assert CHANGED in last.data["notice"]


def test_a_kept_answer_is_guarded_while_it_is_told_like_a_new_one(mill: Loremill, revoke: Revoke) -> None:
    ask(mill, BOTH)
    events = stream(mill, BOTH)
    until(events, "sentence")
    revoke()
    rest = list(events)
    assert SECRET not in str([event.data for event in rest])
    assert rest[-1].data["answer"] == f"{CANTEEN} [1]"


def test_an_answer_at_once_has_nothing_that_was_lost_while_it_was_made(
    mill: Loremill, revoke: Revoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, taken = writing.extract, []

    def meanwhile(*args: Any, **options: Any) -> Any:
        quotes = original(*args, **options)
        if not taken:
            taken.append(revoke())
        return quotes

    monkeypatch.setattr(writing, "extract", meanwhile)
    answer = ask(mill, BOTH)
    assert taken
    assert SECRET not in str(answer.to_json())
    assert (answer.answer, CHANGED in str(answer.notice)) == (f"{CANTEEN} [1]", True)


def test_changes_that_take_nothing_of_the_passages_away_change_no_answer(mill: Loremill, open_mill: OpenMill) -> None:
    expected = ask(mill, BOTH).answer
    events = stream(mill, BOTH)
    seen = until(events, "sentence")
    open_mill().put_document(
        collection="company", principal=BOB, document_id="new", text="Mail is sorted at noon.", acl=Acl(("everyone",))
    )
    seen += events
    assert [event.kind for event in seen] == ["passages", "sentence", "sentence", "answer"]
    assert (seen[-1].data["answer"], seen[-1].data["notice"]) == (expected, None)


def test_where_nothing_holds_still_the_answer_abstains_and_says_so(
    mill: Loremill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guard, "lost", lambda self, chunk_ids: set(chunk_ids))
    answer = ask(mill, KILN)
    assert (answer.answer, answer.citations, answer.notice) == (ABSTAIN, (), CHANGED)
    assert answer.release == mill.releases("company")[0].id


# -- while a model writes ----------------------------------------------------------------------------------------------


def test_a_model_that_read_what_is_lost_is_stopped_and_extracts_of_the_rest_answer(
    mill: Loremill, writer: Callable[..., Writer], revoke: Revoke
) -> None:
    model = writer("The canteen opens at 11:30. ", revoke, f"{PLAN} ", "And more.")
    events = list(stream(mill, BOTH, generator="openai"))
    assert [event.kind for event in events] == ["passages", "token", "sentence", "answer"]
    assert model.stopped
    assert SECRET not in str([event.data for event in events])
    last = events[-1].data
    assert (last["answer"], last["generator"], last["usage"]["completion_tokens"]) == (
        f"{CANTEEN} [1]",
        "extractive",
        0,
    )
    assert CHANGED in last["notice"]


def test_a_whole_draft_is_dropped_if_what_its_model_read_is_lost_before_it_is_verified(
    mill: Loremill, writer: Callable[..., Writer], delete: Revoke
) -> None:
    writer(f"{CANTEEN} ", "Norsea comes for lunch every working day.", delete)
    events = list(stream(mill, BOTH, generator="openai"))
    assert [event.kind for event in events] == ["passages", "token", "token", "sentence", "answer"]
    assert SECRET not in str(events[-1].data)


def test_an_answer_at_once_by_a_model_has_nothing_that_was_lost_while_it_wrote(
    mill: Loremill, writer: Callable[..., Writer], revoke: Revoke
) -> None:
    model = writer(f"{PLAN} ", revoke, "And more.")
    answer = ask(mill, KILN, generator="openai")
    assert model.stopped
    assert SECRET not in str(answer.to_json())
    assert answer.generator == "extractive"


@pytest.mark.parametrize("when", ["tokens", "sentences"])
def test_a_principal_that_is_shut_out_midway_gets_the_error_and_no_further_text(
    mill: Loremill, writer: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def denied(principal: Principal, **options: object) -> Any:
        raise AccessDenied(principal)

    retriever = mill._tenant("halden").retriever
    model = writer(f"{PLAN} ", "And more.")
    events = stream(mill, BOTH, generator="openai" if when == "tokens" else "extractive")
    until(events, "token" if when == "tokens" else "sentence")
    monkeypatch.setattr(retriever, "access", denied)
    with pytest.raises(AccessDenied):
        next(events)
    assert list(events) == []
    assert model.stopped is (True if when == "tokens" else None)
    with pytest.raises(AccessDenied):
        ask(mill, BOTH)


def test_a_model_is_stopped_as_soon_as_nobody_reads_its_stream(mill: Loremill, writer: Callable[..., Writer]) -> None:
    model = writer("One. ", "Two.")
    events = stream(mill, KILN, generator="openai")
    until(events, "token")
    events.close()  # type: ignore[attr-defined]
    assert model.stopped


# -- the conversation before -------------------------------------------------------------------------------------------


class Parrot(Writer):
    """Repeats everything that it is shown before the question."""

    def stream(self, prompt: Prompt, *, max_tokens: int) -> Iterator[str | Usage]:
        self.prompts.append(prompt)
        yield from (message["content"] for message in prompt.messages[1:-1])
        yield Usage()


TOLD = [
    {"role": "user", "content": "When will the kiln be sold?"},
    {"role": "assistant", "content": f"{PLAN} [1] {CANTEEN} [2]"},
]


def test_a_model_cannot_repeat_what_earlier_answers_said_once_it_may_not_be_read(
    mill: Loremill, monkeypatch: pytest.MonkeyPatch, revoke: Revoke
) -> None:
    monkeypatch.setattr("rag.ask.make_generator", lambda name, settings: Parrot())
    question = "When does the canteen open every day?"
    before, after = [], []
    for events in (before, after):
        events += stream(mill, question, generator="openai", history=TOLD)
        if events is before:
            revoke()
    assert SECRET in str([event.data for event in before])
    assert SECRET not in str([event.data for event in after])
    assert CANTEEN in "".join(event.data["text"] for event in after if event.kind == "token")


def test_a_model_is_stopped_when_an_earlier_answer_loses_its_passage_though_the_question_never_found_it(
    mill: Loremill, writer: Callable[..., Writer], delete: Revoke
) -> None:
    mill.promote(
        mill.create_release("company", retrieval={"passages": 1}).id, collection="company", force=True, reason="test"
    )
    model = writer("It opens ", delete, f"as {PLAN}")
    events = list(stream(mill, "When does the canteen open every day?", generator="openai", history=TOLD))
    assert SECRET in str(model.prompts[0].messages)
    assert SECRET not in str([event.data for event in events])
    assert model.stopped


def test_extracts_take_no_word_from_the_assistants_turns(mill: Loremill) -> None:
    for question in (KILN, "And when?", "Who buys it?"):
        alone = ask(mill, question, history=TOLD[:1])
        for said in ("The kiln will be sold to Fenwick in June.", "Who is the king of Spain?", ""):
            answer = ask(mill, question, history=[*TOLD[:1], {"role": "assistant", "content": said}])
            assert (answer.answer, answer.citations) == (alone.answer, alone.citations)


def test_the_passages_that_an_answer_rests_on_are_those_that_it_was_shown(mill: Loremill) -> None:
    found: list[Hit] = mill.search("canteen", collection="company", principal=BOB)
    assert {hit.document_id for hit in found} == {"plan.md", "canteen.md"}, "the tests above rest on both being found"
