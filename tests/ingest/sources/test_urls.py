"""No password stands in what is stored or shown of a source's URL."""

from __future__ import annotations

import pytest

from indexes.errors import ConfigError
from ingest.sources.urls import SourceUrl


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://alice:hunter2@host/db",
        "postgresql+psycopg://alice:p/w@host/db",
        "postgresql://alice:x${PW}@host/db",
        "postgresql://host/db?password=hunter2",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DODBC%3BUID%3Dme%3BPWD%3Dhunter2",
        "https://ghp_token@example.com/a.md",
        "https://bob:hunter2@example.com/a.md",
        "https://example.com/a.md?X-Amz-Signature=abc",
        "https://example.com/a.md?access_token=abc&x=1",
        "zip://*.md::https://bob:hunter2@example.com/a.zip",
        "s3://key:secret@bucket/docs",
    ],
)
def test_a_literal_password_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\$\{DB_PASSWORD\}") as caught:
        SourceUrl(url)
    assert not any(secret in str(caught.value) for secret in ("hunter2", "abc", "ghp_token", "p/w"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://alice@host:5432/db?sslmode=require",
        "s3://bucket/a key@2/b:c.md",
        "https://example.com:8080/a@b?page=2&sort=name",
        "abfs://container@account/docs",
        "memory://a",
    ],
)
def test_a_url_without_password_is_taken_as_it_is(url: str) -> None:
    assert (SourceUrl(url).public, SourceUrl(url).expanded()) == (url, url)


def test_the_environment_fills_in_a_password_only_on_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "h@/: ?x")
    url = SourceUrl("postgresql://alice:${PW}@host/db?token=${PW}")
    assert url.expanded() == "postgresql://alice:h%40%2F%3A%20%3Fx@host/db?token=h%40%2F%3A%20%3Fx"
    assert url.public == "postgresql://host/db?token=${PW}"
    assert "h@" not in repr(url)
    assert url.scrub("cannot reach alice:h%40%2F%3A%20%3Fx@host or h@/: ?x") == "cannot reach alice:${PW}@host or ${PW}"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PW", raising=False)
    with pytest.raises(ConfigError, match="PW is not set"):
        SourceUrl("postgresql://alice:${PW}@host/db").expanded()


def test_a_reference_in_a_path_is_only_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "x")
    assert SourceUrl("s3://bucket/${HOME}/a").expanded() == "s3://bucket/${HOME}/a"
