"""Tokens counted and cut word by word are those of the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes import wordpiece as module
from indexes.minilm import MiniLM
from indexes.wordpiece import WordPiece

tokenizers = pytest.importorskip("tokenizers", reason="the extra `embed` is not installed")

MAX_TOKENS = 20
TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]), st.sampled_from("ab éǺ\u0301\u3000\x1c\x85\xad\u200b\n\t 休暇.,#[]")
    ),
    max_size=60,
)


@pytest.fixture(scope="module")
def make(minilm: MiniLM) -> Callable[[], WordPiece]:
    return lambda: WordPiece(minilm._folder / "tokenizer.json", max_tokens=MAX_TOKENS)


@pytest.fixture(scope="module")
def words(make: Callable[[], WordPiece]) -> WordPiece:
    return make()


@pytest.fixture(scope="module")
def tokenizer(minilm: MiniLM) -> Any:
    tokenizer = tokenizers.Tokenizer.from_file(str(minilm._folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@given(texts=st.lists(TEXTS, max_size=4))
def test_any_text_has_the_tokenizers_own_tokens(words: WordPiece, tokenizer: Any, texts: list[str]) -> None:
    whole = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    first, last = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    assert words.count(texts) == [len(ids) for ids in whole]
    assert [ids.tolist() for ids in words.tokenize(texts)] == [[first, *ids[:MAX_TOKENS], last] for ids in whole]


@pytest.mark.parametrize(
    "text", ["[SEP] [MASK] x[CLS]y", "x" * 5000, "a\x1fb c\x85d e\u2028f", "naïve \u0301x ﬁ ẞ İ Σας"]
)
def test_special_tokens_blobs_and_rare_blanks_are_read_as_the_tokenizer_reads_them(
    words: WordPiece, tokenizer: Any, text: str
) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert words.tokenize([text])[0].tolist()[1:-1] == ids[:MAX_TOKENS]
    assert words.count([text]) == [len(ids)]


def test_memory_is_bounded_and_long_words_are_not_kept(
    make: Callable[[], WordPiece], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT_WORDS", 10)
    words = make()
    words.count(["short " + "long" * 100])
    assert set(words._known) == {"short"}
    for number in range(5):
        text = " ".join(f"{letter}{number}" for letter in "abcdefg")
        assert words.count([text]) == [len(tokenizer.encode(text, add_special_tokens=False))]
        assert len(words._known) <= 10 + 7


def test_many_threads_may_count_at_once(make: Callable[[], WordPiece], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_WORDS", 50)
    words = make()
    texts = [" ".join(f"word {number} {'z' * 80}{number}" for number in range(at, at + 30)) for at in range(40)]
    alone = words.count(texts)
    with ThreadPoolExecutor(4) as threads:
        assert [counts[0] for counts in threads.map(lambda text: words.count([text]), texts)] == alone
