"""The grounding benchmark's arithmetic: folds that share no question, honest thresholds, trees that learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eval.bench.boosting import boost
from eval.bench.groundedness import FOLDS, auroc, best_f1, cross_validated, fold_of
from eval.bench.ragtruth import Response, Sentence, read
from rag.counted import FEATURES


def test_auroc_counts_ties_half() -> None:
    labels = np.array([True, True, False, False])
    assert auroc(labels, np.array([2.0, 1.0, 1.0, 0.0])) == pytest.approx(3.5 / 4)


def test_the_best_threshold_keeps_equal_scores_together() -> None:
    labels = np.array([True, False, True, False])
    assert best_f1(labels, np.array([3.0, 1.0, 1.0, 0.0])) == (pytest.approx(0.8), 1.0)


def test_all_answers_to_a_question_are_in_one_fold() -> None:
    questions = [str(at % 20) for at in range(100)]
    folds = fold_of(questions)
    assert all(len({int(f) for f, q in zip(folds, questions, strict=True) if q == name}) == 1 for name in questions)
    assert set(folds.tolist()) == set(range(FOLDS))


def test_boosted_trees_learn_an_interaction_and_are_the_same_each_time() -> None:
    rows = np.random.default_rng(1).normal(size=(600, 3))
    labels = (rows[:, 0] > 0) ^ (rows[:, 1] > 0)
    one, two = (boost(rows, labels, trees=40, depth=2, share=1.0) for _ in range(2))
    assert auroc(labels, one.probability(rows)) > 0.95
    np.testing.assert_array_equal(one.values, two.values)


def test_a_constant_feature_is_never_asked() -> None:
    rows = np.column_stack([np.zeros(100), np.arange(100.0)])
    assert set(boost(rows, rows[:, 1] > 50, trees=5, depth=1, share=1.0).asked.ravel().tolist()) == {1}


def answers(*, told: bool) -> list[Response]:
    """Sixty answers of two sentences; with `told` the first column gives the labels away."""
    random = np.random.default_rng(2)
    found = []
    for at in range(60):
        wrong = random.random(2) < 0.4
        rows = random.normal(size=(2, len(FEATURES)))
        rows[:, 0] = wrong if told else rows[:, 0]
        sentences = tuple(Sentence(False, bool(bad), 10, 10 * int(bad), 0.0, 0.0) for bad in wrong)
        found.append(Response(str(at), bool(wrong.any()), int(10 * wrong.sum()), rows, sentences))
    return found


def test_what_can_be_told_is_found_and_noise_is_not_learned_from_the_fold_under_test() -> None:
    clear, noise = (cross_validated(answers(told=told), trees=20) for told in (True, False))
    assert clear["answers"]["auroc"] > 0.9
    assert clear["sentences"]["auroc"] > 0.9
    assert clear["characters"]["f1"] > 0.9
    assert noise["sentences"]["auroc"] < 0.7


def test_labelled_spans_become_sentence_and_character_labels(tmp_path: Path) -> None:
    source = {"source_id": "q", "source_info": {"passages": "passage 1:Leave is 20 weeks.\n\n"}}
    text = "Leave is 20 weeks. Bananas are yellow."
    row = {"source_id": "q", "response": text, "labels": [{"start": 19, "end": 26}]}
    (tmp_path / "source_info_train.jsonl").write_text(json.dumps(source) + "\n")
    (tmp_path / "response_train.jsonl").write_text(json.dumps(row) + "\n")
    (response,) = read(tmp_path)
    assert (response.unsupported, response.labelled) == (True, 7)
    assert [(s.unsupported, s.labelled) for s in response.sentences] == [(False, 0), (True, 7)]
    assert response.counted.shape == (2, len(FEATURES))
