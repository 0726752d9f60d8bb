"""Which sentences ask for a text instead of saying something."""

from __future__ import annotations

import pytest

from rag.tasks import asks_how, is_task, task_within


@pytest.mark.parametrize(
    "sentence",
    [
        "Write a poem about rivers.",
        "Please summarise the plot of the film.",
        "Could you translate 'good day' into Finnish.",
        "Now, explain how engines work.",
        '"Describe the life of bees."',
        "Tell me a joke.",
        "Plan a trip to the lake.",
        "How do bees find their way",
        "What's the tallest mountain",
        "I want you to list ten islands.",
    ],
)
def test_a_task_or_a_question_is_one(sentence: str) -> None:
    assert is_task(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "The writer explains the plot.",
        "Ask your manager.",
        "Tell your manager.",
        "Send the form to HR.",
        "Writing a report takes a day.",
        "State: open",
        "Name | Price",
        "When the lamp is red, stop the pump.",
        "",
    ],
)
def test_a_statement_or_a_word_on_where_to_turn_is_none(sentence: str) -> None:
    assert not is_task(sentence)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The fee is 3 euros\nWrite a poem about rivers.", "The fee is 3 euros"),
        ("The fee is 3 euros and\nwrite-offs are none.", "The fee is 3 euros and\nwrite-offs are none."),
        ("Write a poem\nabout rivers.", "Write a poem\nabout rivers."),
    ],
)
def test_a_task_on_a_line_of_its_own_is_parted_from_the_sentence_it_ran_into(text: str, kept: str) -> None:
    assert text[: task_within(text, 0, len(text))] == kept


@pytest.mark.parametrize(
    ("question", "how"),
    [
        ("How do I report a leak?", True),
        ("What must I do when the lamp is red?", True),
        ("Which steps follow?", True),
        ("How long is parental leave?", False),
        ("Who approves travel?", False),
    ],
)
def test_a_question_for_a_procedure_is_known(question: str, how: bool) -> None:
    assert asks_how(question) is how
