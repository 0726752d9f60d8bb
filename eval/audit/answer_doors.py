"""The doors through which answers come: asked whole, streamed, in a conversation, again after a revocation, and by an evaluation."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eval.audit.trial import Door, Trial
from eval.audit.world import Document


def ask(trial: Trial) -> None:
    """An answer rests on what may be read, whatever the question."""
    _, question = question_about(trial)
    answer = trial.mill.ask(question, collection=trial.collection, principal=trial.principal)
    trial.hear(answer, said=question)


def ask_stream(trial: Trial) -> None:
    """So does every event of a streamed answer, each by the rights of the moment in which it comes."""
    document, question = question_about(trial)
    revokes = trial.rng.random() < 0.5
    for event in trial.mill.ask_stream(question, collection=trial.collection, principal=trial.named):
        trial.hear(event, said=question)
        if revokes:
            trial.history.take_away(document, trial.person, trial.rng)
            revokes = False


def ask_in_conversation(trial: Trial) -> None:
    """What an earlier answer said may have been revoked since; it does not come back."""
    document, question = question_about(trial)
    history = [{"role": "user", "content": question}, {"role": "assistant", "content": document.paragraphs[0]}]
    answer = trial.mill.ask(
        "And what else is said about it?", collection=trial.collection, principal=trial.principal, history=history
    )
    trial.hear(answer, said=question)


def ask_candidate(trial: Trial) -> None:
    """So does an answer of a release that is not live, also when its citations are asked for what surrounds them."""
    _, question = question_about(trial)
    candidate = trial.mill.create_release(
        trial.collection, tenant=trial.person.tenant, index={"chunk_tokens": 32}, retrieval={"passages": 3}
    )
    asked: dict[str, Any] = {"collection": trial.collection, "principal": trial.principal}
    answer = trial.mill.ask(question, release=candidate.id, **asked)
    trial.hear(answer, said=question)
    trial.expect("release of the answer", answer.release, candidate.id)
    for citation in answer.citations:
        trial.hear(trial.mill.around(citation.chunk_id, **asked))


def race(trial: Trial) -> None:
    """A right that is taken away between search and confirmation keeps the text from leaving, and leaves the rest as it is.

    Who leaves a group may also gain rights, where that group was denied some; the search at hand need not heed that yet.
    """
    document, question = question_about(trial)
    before = {one.document_id for one in trial.readable}
    retriever = trial.mill._tenant(trial.person.tenant).retriever

    def between() -> None:
        retriever.before_confirm = None
        trial.history.take_away(document, trial.person, trial.rng)

    retriever.before_confirm = between
    try:
        hits = trial.mill.search(question, collection=trial.collection, principal=trial.named, top_k=1000)
    finally:
        retriever.before_confirm = None
    trial.hear(hits, said=question)
    found, after = {hit.document_id for hit in hits}, {one.document_id for one in trial.readable}
    trial.expect("found without the right", found - after, set())
    trial.expect("missing though readable all the time", (before & after) - found, set())


def repeated(trial: Trial) -> None:
    """The same request by another person, and again after a right was taken away or given, gives each what is theirs then."""
    document, question = question_about(trial)
    others = [one for one in trial.world.people if one.tenant == trial.person.tenant]
    answered = trial.rng.random() < 0.3

    def request() -> None:
        for person in (trial.person, trial.rng.choice(others), trial.person):
            who = trial.mill.directory.resolve(person.name)
            asked: dict[str, Any] = {"collection": trial.collection, "principal": who}
            hits = trial.mill.search(question, top_k=1000, **asked)
            trial.hear(hits, said=question, person=person)
            wanted = {one.document_id for one in trial.world.readable(person, trial.collection)}
            trial.expect(f"search by {person.name}", {hit.document_id for hit in hits}, wanted)
            if answered:
                trial.hear(trial.mill.ask(question, **asked), said=question, person=person)

    request()
    if trial.rng.random() < 0.5:
        trial.history.take_away(document, trial.person, trial.rng)
    else:
        trial.history.give(document)
    request()


def evaluation(trial: Trial) -> None:
    """The files that an evaluation writes hold nothing that its principal may not read."""
    from eval.datasets import Dataset, Sample
    from eval.run import evaluate_answers

    _, question = question_about(trial)
    sample = Sample(id="1", user_input=question, principal=trial.person.name, reference="", answerable=False)
    with TemporaryDirectory() as out:
        report = evaluate_answers(
            trial.mill,
            Dataset("audit", (sample,)),
            collection=trial.collection,
            resolve_principal=trial.mill.directory.resolve,
            out=out,
        )
        written = [path.read_text(encoding="utf-8") for path in sorted(Path(out).iterdir())]
    trial.hear((report, written), said=(question, trial.collection))
    trial.expect("failed questions", report.to_json()["failed"], [])


def question_about(trial: Trial) -> tuple[Document, str]:
    """Return a document, readable or not, and a question that it answers."""
    document = trial.any_document()
    sentence = trial.rng.choice(document.paragraphs).split(". ")[0]
    return document, trial.history.material.question(trial.rng, sentence)


ANSWER_DOORS: dict[str, tuple[Door, float]] = {
    "ask": (ask, 0.6),
    "ask stream": (ask_stream, 0.8),
    "ask candidate": (ask_candidate, 0.4),
    "ask in conversation": (ask_in_conversation, 0.4),
    "race": (race, 2),
    "repeated": (repeated, 1.2),
    "evaluation": (evaluation, 0.3),
}
