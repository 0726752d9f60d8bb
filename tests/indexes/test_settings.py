"""Settings come from arguments, then the environment, then loremill.toml, then the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexes.errors import ConfigError
from indexes.settings import load_settings


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("CHUNK_TOKENS", "EMBEDDER", "HOME"):
        monkeypatch.delenv(f"LOREMILL_{name}", raising=False)
    return tmp_path


def test_the_nearer_place_wins(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().chunk_tokens == 220
    (clean_place / "loremill.toml").write_text("chunk_tokens = 30\n")
    assert load_settings().chunk_tokens == 30
    monkeypatch.setenv("LOREMILL_CHUNK_TOKENS", "40")
    assert load_settings().chunk_tokens == 40
    assert load_settings(chunk_tokens=50).chunk_tokens == 50


def test_none_counts_as_not_given() -> None:
    assert load_settings(chunk_tokens=None).chunk_tokens == 220


@pytest.mark.parametrize(
    ("setting", "named"),
    [({"chunk_tokens": 1}, "chunk_tokens"), ({"device": "tpu"}, "device"), ({"chunk_size": 9}, "chunk_size"),
     ({"threads": "many"}, "threads"), ({"vector_index": "annoy"}, "vector_index")],
)  # fmt: skip
def test_a_bad_setting_is_named(setting: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_settings(**setting)


@pytest.mark.parametrize("content", ["chunk_tokens = = 3", "chunk_tokens = 'x'", "chunk_size = 3", "\xff"])
def test_a_bad_settings_file_is_a_config_error(clean_place: Path, content: str) -> None:
    (clean_place / "loremill.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError):
        load_settings()


def test_the_api_key_is_not_printed() -> None:
    assert "hunter2" not in repr(load_settings(openai_api_key="hunter2"))
