"""answerai-colbert-small-v1: compares a question with a text word by word, so that a word without a counterpart shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix
from indexes.packaged_model import PackagedModel
from indexes.recent import Recent
from indexes.vocabulary import digest

_SHA256 = {
    "model.onnx": "4980983628c18e4f0a4c756114abd2d7c097c6ccad9cffc70e77302d21e05df0",
    "tokenizer.json": "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
}
_MAX_TOKENS = 160
_KEPT = 20_000


class LateInteraction:
    """Token vectors of question and texts; int8, 34 MB, English. The last hidden layer serves, which the package has, not its projection.

    Source: Khattab and Zaharia 2020, ColBERT, arXiv:2004.12832, for the largest cosine of each question token.
    """

    def __init__(self, *, threads: int = 0) -> None:
        self._model = PackagedModel("colbert", sha256=_SHA256, max_tokens=_MAX_TOKENS, threads=threads)
        self.load_ahead = self._model.load_ahead
        self._recent: Recent[npt.NDArray[np.float32]] = Recent(_KEPT)

    def coverage(self, question: str, texts: Sequence[str], *, readers: str = "") -> tuple[list[str], Float32Matrix]:
        """Return the question's words, as written, and how well each text covers each word.

        Returns:
            (words, float32 of shape (len(texts), len(words))): the largest cosine of any of the text's tokens, in [-1, 1],
            averaged over the word's tokens. A negation, a number or an order of words is not compared.
        Cost: encodes the texts, cut at 160 tokens, and the question.
        """
        asked = self._model.encoded(question)
        groups: dict[int, list[int]] = {}
        for token, word in enumerate(asked.word_ids):
            if word is not None:
                groups.setdefault(word, []).append(token)

        def compare(unread: list[str]) -> list[npt.NDArray[np.float32]]:
            rows = []
            (_, states), *read = self._model.run([question, *unread])
            for _, shown in read:
                # The mark at the start sums the text up: it is no word of it.
                best = np.clip(_unit(states) @ _unit(shown[1:]).T, -1.0, 1.0).max(axis=1)
                rows.append(np.array([best[tokens].mean() for tokens in groups.values()], dtype=np.float32))
            return rows

        words = [question[asked.offsets[tokens[0]][0] : asked.offsets[tokens[-1]][1]] for tokens in groups.values()]
        covered = self._recent.of(texts, compare, about=digest(readers, question))
        return words, np.array(covered, dtype=np.float32).reshape(len(texts), len(words))


def _unit(states: Float32Matrix) -> Float32Matrix:
    unit: Float32Matrix = states / (np.linalg.norm(states, axis=1, keepdims=True) + np.float32(1e-9))
    return unit
