"""An mbox file is one item a message, whatever its writer's habits and whatever it holds."""

from __future__ import annotations

import io
import mailbox
import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import IngestError, ParseError, TooLarge
from ingest.parse import parse
from ingest.sources import SourceItem, mbox, open_source
from ingest.sources.base import Place, checked
from ingest.sources.mbox import message_items

START = b"From alice@example.com Wed Nov 18 10:11:12 2026\n"


def listed(data: bytes) -> dict[str, SourceItem]:
    items = list(checked(message_items(io.BytesIO(data), Place("in.mbox", "file:///in.mbox", alone=True))))
    assert len({item.document_id for item in items}) == len(items)
    return {item.document_id: item for item in items}


def message(number: int, body: str) -> EmailMessage:
    mail = EmailMessage()
    mail["Message-ID"] = f"<m{number}@example.com>"
    mail["Subject"] = f"Message {number}"
    mail.set_content(body)
    return mail


def write_box(path: Path, *messages: EmailMessage) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    box = mailbox.mbox(path)
    for mail in messages:
        box.add(mail)
    box.close()
    return path


def test_each_message_is_an_item_that_the_mail_parser_reads(tmp_path: Path) -> None:
    path = write_box(
        tmp_path / "in.mbox", message(1, "The kiln runs.\n"), message(2, "Lunch.\n\nFrom here on, soup.\n")
    )
    items = {item.document_id: item for item in open_source(path).items()}
    assert list(items) == ["m1@example.com", "m2@example.com"]
    second = items["m2@example.com"]
    assert (second.format, second.path, second.size) == ("eml", "in.mbox", len(second.read()))
    assert second.uri == f"{path.as_uri()}#m2@example.com"
    parsed = parse(second.read(), uri=second.uri, format=second.format)
    assert parsed.title == "Message 2"
    assert "\nFrom here on, soup." in parsed.text


def test_a_mailbox_in_a_folder_keeps_its_name_before_its_messages_and_its_rules(tmp_path: Path) -> None:
    write_box(tmp_path / "mail/in.mbox", message(1, "x"))
    (tmp_path / "a.md").write_text("x")
    items = list(open_source(tmp_path).items())
    assert [(item.document_id, item.path) for item in items] == [
        ("a.md", "a.md"),
        ("mail/in.mbox#m1@example.com", "mail/in.mbox"),
    ]


def test_a_mailbox_of_another_name_is_read_when_it_is_called_one(tmp_path: Path) -> None:
    path = write_box(tmp_path / "Inbox", message(1, "x"))
    source = open_source(path, format="mbox")
    assert [item.document_id for item in source.items()] == ["m1@example.com"]
    assert source.spec == {"location": str(path.resolve()), "format": "mbox"}


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"Hello\n\nFrom here it is far\n", 1),  # prose, not quoted by its writer
        (b"Hello\n\n>From here at 10:30\n", 1),
        (b"Hello\n>>From deeper\n", 1),
        (b"Hello\n\nFrom bob@example.com Wed Nov 18 10:11:12 2026\nSubject: two\n\nx\n", 2),
        (b"Hello\nFrom bob@example.com Wed Nov 18 10:11:12 2026\nSubject: two\n\nx\n", 2),  # no blank line before
        (b"Hello\n\nFrom bob\nSubject: two\n\nx\n", 2),  # no date
    ],
)
def test_two_of_three_signs_part_messages(body: bytes, count: int) -> None:
    assert len(listed(START + b"Subject: one\n\n" + body)) == count


def test_quoting_is_taken_off_by_one_level() -> None:
    (item,) = listed(START + b"Subject: s\n\n>From a\n>>From b\n> From c\n").values()
    assert item.read() == b"Subject: s\n\nFrom a\n>From b\n> From c\n"


def test_messages_of_one_id_are_told_apart_even_from_one_that_is_called_so() -> None:
    one = START + b"Message-ID: <a~2>\n\nx\n\n"
    two = START + b"Message-ID: <a>\n\ny\n\n"
    assert list(listed(one + two + two + two)) == ["a~2", "a", "a~3", "a~4"]


def test_a_message_without_id_is_named_by_its_content_and_keeps_its_name_when_others_come() -> None:
    (name,) = listed(START + b"Subject: s\n\nx\n")
    assert name.startswith("sha256-")
    more = listed(START + b"Subject: first\n\ny\n\n" + START + b"Subject: s\n\nx\n\n" + START + b"Subject: t\n\nz\n")
    assert name in more


def test_a_message_appended_later_leaves_the_marks_of_the_others() -> None:
    first = START + b"Message-ID: <a>\n\nx\n"
    before, after = listed(first), listed(first + b"\n" + START + b"Message-ID: <b>\n\ny\n")
    assert before["a"].mark == after["a"].mark != ""
    assert listed(first.replace(b"\n\nx", b"\n\nz"))["a"].mark != before["a"].mark


def test_what_is_no_message_refuses_and_the_others_go_on() -> None:
    items = list(listed(b"just prose\n\n" + START + b"Message-ID: <a>\n\nx\n\n" + START + b"\nno header\n").values())
    assert [item.document_id.startswith("sha256-") for item in items] == [True, False, True]
    for item in (items[0], items[2]):
        assert item.mark == ""
        with pytest.raises(ParseError, match="header fields"):
            item.read()
    assert items[1].read() == b"Message-ID: <a>\n\nx\n"


def test_a_message_that_is_too_long_refuses_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbox, "MAX_PART_BYTES", 1000)
    items = listed(START + b"Message-ID: <big>\n\n" + b"x" * 5000 + b"\n\n" + START + b"Message-ID: <a>\n\ny\n")
    with pytest.raises(TooLarge, match="1,000"):
        items["big"].read()
    assert items["a"].read().endswith(b"y\n")


def test_a_mailbox_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "in.mbox"
    path.write_bytes((START + b"Subject: s\n\n" + b"x" * 1000 + b"\n\n") * 5000)
    items = open_source(path).items()
    next(items)
    path.write_bytes(b"")
    assert len(list(items)) < 4999


@pytest.mark.parametrize("line", [b"From ", b"From 1:", b">From ", b"Message-ID: ", b" \n", b"1:11 "], ids=str)
def test_reading_takes_linear_time(line: bytes) -> None:
    def seconds(copies: int) -> float:
        data = START + line * copies
        started = time.process_time()
        listed(data)
        return time.process_time() - started

    seconds(1000)
    assert seconds(400_000) < 12 * max(seconds(100_000), 0.02)


@given(
    st.lists(st.sampled_from([START, b"From x\n", b"Message-ID: <a>\n", b"\n", b"A: b\n", b"text\r\n", b"\xff\x00"]))
)
def test_any_bytes_give_unique_ids_and_no_error_but_on_reading(parts: list[bytes]) -> None:
    data = b"".join(parts)
    for item in listed(data).values():
        try:
            assert item.read().strip()
        except IngestError:
            assert item.mark == ""
