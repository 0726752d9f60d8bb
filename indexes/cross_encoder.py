"""ms-marco-MiniLM-L-12-v2: reads question and text together and says how well the text answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from indexes.packaged_model import PackagedModel
from indexes.recent import Recent
from indexes.vocabulary import digest

_SHA256 = {
    "model.onnx": "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
    "tokenizer.json": "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
}
_MAX_TOKENS = 192
_KEPT = 50_000


class CrossEncoder:
    """Scores how well texts answer a question; int8, 34 MB, English.

    Source: Reimers and Gurevych 2019, arXiv:1908.10084; Wang et al. 2020, arXiv:2002.10957; trained on MS MARCO.
    """

    def __init__(self, *, threads: int = 0) -> None:
        self._model = PackagedModel("reranker_en", sha256=_SHA256, max_tokens=_MAX_TOKENS, threads=threads)
        self.load_ahead = self._model.load_ahead
        self._recent: Recent[float] = Recent(_KEPT)

    def scores(self, question: str, texts: Sequence[str], *, readers: str = "") -> npt.NDArray[np.float32]:
        """Return one logit a text, about -11 (off topic) to 9 (answers it), in the order given. Texts over 192 tokens are cut.

        Args:
            readers: who asks; what was read for others is not used, or time would tell that they asked.
        """

        def read(unread: list[str]) -> list[float]:
            return [float(output.ravel()[-1]) for _, output in self._model.run([(question, text) for text in unread])]

        return np.array(self._recent.of(texts, read, about=digest(readers, question)), dtype=np.float32)
