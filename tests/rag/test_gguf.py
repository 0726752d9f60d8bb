from __future__ import annotations

import threading
from pathlib import Path

import pytest

from indexes.errors import ConfigError, GeneratorError
from indexes.settings import load_settings
from rag.generate import Usage, draft, make_generator
from rag.gguf import GgufGenerator, close_servers
from rag.prompts import Prompt

HELLO = Prompt(({"role": "user", "content": "Count from one to ten."},))


def test_the_setting_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="LOREMILL_GGUF_PATH"):
        make_generator("gguf", load_settings())


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.gguf"):
        make_generator("gguf", load_settings(gguf_path=tmp_path / "nothing.gguf"))


def test_a_file_of_another_format_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigError, match="not a GGUF file"):
        GgufGenerator(tmp_path / "a.gguf")


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\xff" * 64)
    with pytest.raises(GeneratorError, match=r"broken\.gguf"):
        list(GgufGenerator(tmp_path / "broken.gguf").stream(HELLO, max_tokens=4))


@pytest.mark.slow
def test_a_real_model_streams_its_tokens_and_ends_with_their_count(gguf_path: Path) -> None:
    generator = make_generator("gguf", load_settings(gguf_path=gguf_path))
    *pieces, usage = generator.stream(HELLO, max_tokens=12)
    assert len(pieces) > 3
    assert isinstance(usage, Usage)
    assert usage.completion_tokens == 12
    assert usage.prompt_tokens > 5
    again = draft(generator, HELLO, max_tokens=12)
    assert again.text == "".join(str(piece) for piece in pieces)
    assert again.model == gguf_path.stem


@pytest.mark.slow
def test_a_prompt_longer_than_the_context_is_an_error_not_a_cut(gguf_path: Path) -> None:
    with pytest.raises(GeneratorError, match="context"):
        draft(GgufGenerator(gguf_path), Prompt(({"role": "user", "content": "word " * 20_000},)), max_tokens=4)


@pytest.mark.slow
def test_a_model_that_is_too_slow_ends_in_an_error(gguf_path: Path) -> None:
    with pytest.raises(GeneratorError, match="LOREMILL_GENERATOR_TIMEOUT_S"):
        draft(GgufGenerator(gguf_path, timeout_s=0.001), HELLO, max_tokens=4)


@pytest.mark.slow
def test_an_abandoned_stream_stops_the_model_and_the_next_one_works(gguf_path: Path) -> None:
    generator = GgufGenerator(gguf_path)
    stream = generator.stream(HELLO, max_tokens=4000)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert draft(generator, HELLO, max_tokens=3).usage.completion_tokens == 3
    for thread in threading.enumerate():
        if thread.name.startswith("loremill"):
            thread.join(timeout=20)
            assert not thread.is_alive()


@pytest.mark.slow
def test_a_closed_model_is_loaded_again_when_asked(gguf_path: Path) -> None:
    generator = GgufGenerator(gguf_path)
    close_servers()
    assert draft(generator, HELLO, max_tokens=2).text
    close_servers()
