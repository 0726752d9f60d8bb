"""Finds of personal data are counted against labels, and are good enough on the labelled sentences."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from eval.bench.pii import Labelled, read, score
from indexes.errors import DatasetError
from ingest.pii import find

SET = Path(__file__).parents[2] / "../shared/data/pii/synth_dataset_v2.json"


@pytest.mark.skipif(not SET.is_file(), reason="shared data pii/ is not here")
@pytest.mark.parametrize("type", ["EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "URL", "US_SSN"])
def test_f1_on_the_labelled_sentences_is_at_least_090(type: str) -> None:
    assert score(read(SET))[type].f1 >= 0.90


def test_the_labelled_sentences_are_scored_by_overlap() -> None:
    rows = [
        Labelled("mail a@b.co and c@d.co", (("EMAIL_ADDRESS", 5, 11), ("EMAIL_ADDRESS", 16, 22), ("PERSON", 0, 4))),
        Labelled("no mail: x@y.co", (("EMAIL_ADDRESS", 0, 2),)),
    ]
    counts = score(rows)
    assert (counts["EMAIL_ADDRESS"].labelled, counts["EMAIL_ADDRESS"].recalled) == (3, 2)
    assert (counts["EMAIL_ADDRESS"].found, counts["EMAIL_ADDRESS"].right) == (3, 2)
    assert counts["EMAIL_ADDRESS"].exact == 2
    assert counts["EMAIL_ADDRESS"].f1 == pytest.approx(2 / 3)
    assert (counts["PERSON"].found, counts["PERSON"].f1) == (0, 0.0)
    assert Counter(span.type for row in rows for span in find(row.text)) == {"EMAIL_ADDRESS": 3}


@pytest.mark.skipif(not SET.is_file(), reason="shared data pii/ is not here")
def test_the_set_is_read_whole() -> None:
    assert sum(len(row.spans) for row in read(SET)) == sum(
        len(row["spans"]) for row in json.loads(SET.read_text("utf-8"))
    )


@pytest.mark.parametrize("text", ["", '{"a": 1}', '[{"full_text": "x"}]', "[1]"])
def test_a_file_of_another_form_is_an_error_with_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(DatasetError, match=r"set\.json: not a list of full_text and spans"):
        read(tmp_path / "set.json")
