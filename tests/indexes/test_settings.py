"""Settings come from arguments, then the environment, then loremill.toml, then the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexes.errors import ConfigError
from indexes.settings import load_settings
from indexes.vectors import BACKENDS


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
     ({"threads": "many"}, "threads"), ({"vector_index": "annoy"}, "vector_index"), ({"lexical_index": "grep"}, "tantivy"),
     ({"qdrant_url": "localhost:6333"}, "qdrant_url")],
)  # fmt: skip
def test_a_bad_setting_is_named(setting: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_settings(**setting)


@pytest.mark.parametrize("content", ["chunk_tokens = = 3", "chunk_tokens = 'x'", "chunk_size = 3", "\xff"])
def test_a_bad_settings_file_is_a_config_error(clean_place: Path, content: str) -> None:
    (clean_place / "loremill.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError):
        load_settings()


@pytest.mark.parametrize("name", ["openai_api_key", "qdrant_api_key"])
def test_the_api_key_is_not_printed(name: str) -> None:
    assert "hunter2" not in repr(load_settings(**{name: "hunter2"}))


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_every_vector_index_can_be_chosen(name: str) -> None:
    assert load_settings(vector_index=name).vector_index == name


TOKENS = {"jwt_jwks": "https://login.example/jwks", "jwt_issuer": "https://login.example", "jwt_audience": "loremill"}


def test_tokens_need_an_issuer_and_an_audience() -> None:
    assert load_settings(**TOKENS).jwt_algorithms == ("RS256", "PS256", "ES256", "EdDSA")
    for name in ("jwt_issuer", "jwt_audience"):
        with pytest.raises(ConfigError, match=f"{name} is required where jwt_jwks is set"):
            load_settings(**TOKENS | {name: ""})
    assert load_settings(**TOKENS | {"jwt_jwks": ""}).jwt_jwks == ""


@pytest.mark.parametrize(
    ("setting", "named"),
    [({"jwt_algorithms": ["HS256"]}, "jwt_algorithms"), ({"jwt_algorithms": ["RS256", "none"]}, "jwt_algorithms"),
     ({"jwt_algorithms": []}, "jwt_algorithms"), ({"jwt_jwks": "ftp://login.example/jwks"}, "http or https"),
     ({"jwt_leeway_s": 301}, "jwt_leeway_s"), ({"jwt_jwks_ttl_s": 4}, "jwt_jwks_ttl_s"),
     ({"jwt_groups": "both"}, "jwt_groups"), ({"jwt_tenant_claim": ""}, "jwt_tenant_claim")],
)  # fmt: skip
def test_a_setting_that_would_let_forged_tokens_in_is_refused(setting: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_settings(**TOKENS | setting)


def test_algorithms_come_from_the_environment_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREMILL_JWT_ALGORITHMS", '["ES256"]')
    assert load_settings().jwt_algorithms == ("ES256",)
