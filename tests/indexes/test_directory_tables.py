"""A directory of the version before is brought up to date with all that is in it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from indexes.directory import Directory
from indexes.errors import IndexBackendError
from indexes.vocabulary import Principal

SECRET = "lm_0011aa_secret"
BEFORE = f"""
CREATE TABLE principals (name VARCHAR NOT NULL, tenant VARCHAR NOT NULL, subject VARCHAR NOT NULL, groups JSON NOT NULL,
  PRIMARY KEY (name));
CREATE INDEX ix_principals_tenant ON principals (tenant);
CREATE TABLE api_keys (key_id VARCHAR NOT NULL, secret_sha256 VARCHAR(64) NOT NULL, principal VARCHAR NOT NULL,
  tenant VARCHAR NOT NULL, subject VARCHAR NOT NULL, role VARCHAR NOT NULL, label VARCHAR NOT NULL,
  created VARCHAR NOT NULL, revoked VARCHAR, PRIMARY KEY (key_id));
INSERT INTO principals VALUES ('alice', 'halden', 'user:alice', '["group:finance", "group:staff"]');
INSERT INTO principals VALUES ('al', 'halden', 'user:alice', '["group:staff"]');
INSERT INTO principals VALUES ('zoe', 'rival', 'agent:zoe', '[]');
INSERT INTO api_keys VALUES ('0011aa', '{sha256(SECRET.encode()).hexdigest()}', 'alice', 'halden',
  'user:alice', 'reader', '', '2026-11-01', NULL);
"""
ALICE = Principal("halden", "user:alice", ("group:finance", "group:staff"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "directory.db")) as db:
        db.executescript(BEFORE)
    return tmp_path


def test_principals_groups_and_keys_are_what_they_were(home: Path) -> None:
    directory = Directory.open(home)
    assert {one.name: (one.principal, one.active) for one in directory.list_principals()} == {
        "al": (ALICE, True),
        "alice": (ALICE, True),
        "zoe": (Principal("rival", "agent:zoe"), True),
    }
    identity = directory.authenticate(SECRET)
    assert identity is not None
    assert identity.principal == ALICE


def test_changes_hold_after_the_file_was_brought_up_to_date(home: Path) -> None:
    directory = Directory.open(home)
    directory.remove_member("finance", "user:alice", "halden")
    again = Directory.open(home)
    assert again.resolve("alice").groups == ("group:staff",)


def test_processes_that_open_it_at_once_bring_it_up_to_date_once(home: Path) -> None:
    found: list[tuple[str, ...]] = []
    threads = [
        threading.Thread(target=lambda: found.append(Directory.open(home).resolve("alice").groups)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [ALICE.groups] * 6


def test_a_directory_of_a_later_version_is_refused_and_left_alone(home: Path) -> None:
    with closing(sqlite3.connect(home / "directory.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(IndexBackendError, match="schema 99, this version reads 2"):
        Directory.open(home).resolve("alice")
    with closing(sqlite3.connect(home / "directory.db")) as db:
        assert db.execute("SELECT groups FROM principals WHERE name = 'al'").fetchone() == ('["group:staff"]',)
