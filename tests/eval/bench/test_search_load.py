from pathlib import Path

import numpy as np

from eval.bench.rights import DIM
from eval.bench.search_load import CHANGED, TOP_K, Asked, Collection, NumberedEmbedder, judge


def _best(place: Collection, turn: int, reader: int) -> tuple[int, ...]:
    readable = np.array([number for number in place.window(turn) if number % 10 <= reader])
    vectors = NumberedEmbedder().embed_queries([str(number) for number in readable])
    order = np.argsort(-(vectors @ NumberedEmbedder().embed_queries(["q"])[0]))
    return tuple(readable[order[:TOP_K]].tolist())


def test_a_right_answer_is_one_of_the_build_that_gave_it(tmp_path: Path) -> None:
    place = Collection(tmp_path, tmp_path / "rows", 400)
    before, after = _best(place, 0, 3), _best(place, 1, 3)
    assert before != after, "the ingestion moved the window"

    def verdict(build: str, found: tuple[int, ...]) -> tuple[int, int, float]:
        said = judge([Asked(3, "q", "dense", build, found, 1.0)], place, ["b0", "b1"])
        return said.wrong, said.short, said.recall

    assert verdict("b0", before) == (0, 0, 1.0)
    assert verdict("b1", after) == (0, 0, 1.0)
    wrong, _, recall = verdict("b1", before)
    assert wrong == 1, "deleted documents are wrong"
    assert recall < 1
    assert verdict("b0", (*before[:-1], CHANGED + 9))[0] == 1, "so is one that the reader may not see"
    assert verdict("b0", before[:-1]) == (0, 1, 0.9), "and one too few is short"


def test_the_embedder_draws_a_documents_vector_from_its_number() -> None:
    embedder = NumberedEmbedder()
    one, same, other = embedder.embed_passages(["Note 7: a b.", "Title\n\nNote 7: c.", "Note 8: a b."])
    assert one.shape == (DIM,)
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
