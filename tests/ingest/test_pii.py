"""Personal data is found where it stands, and nothing else is; a redacted text has none of it."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import ConfigError
from ingest.pii import TYPES, PiiSpan, find, redact
from ingest.pii.numbers import luhn, mod97
from ingest.pii.spans import settle


def found(text: str, type: str, **options: float) -> list[str]:
    """The values of one type, looked for alone."""
    return [text[span.start : span.end] for span in find(text, types=[type], **options)]


@pytest.mark.parametrize(
    ("type", "text", "values"),
    [
        ("EMAIL_ADDRESS", "[write](mailto:jane.doe@example.com), <bob@example.org>", ["jane.doe@example.com", "bob@example.org"]),
        ("EMAIL_ADDRESS", "**eve@example.net** or _tom+x@sub.example.co.uk_.", ["eve@example.net", "tom+x@sub.example.co.uk"]),
        ("EMAIL_ADDRESS", r"jane\_doe@example.com", [r"jane\_doe@example.com"]),
        ("EMAIL_ADDRESS", "Max Müller ......... max@example.de", ["max@example.de"]),
        ("EMAIL_ADDRESS", "jörg.größe@müller.de，电话 😀 o'neil@example.com!", ["jörg.größe@müller.de", "o'neil@example.com"]),
        ("EMAIL_ADDRESS", "https://example.com/off?user=jane%40corp.example&x=1", ["jane%40corp.example"]),
        ("EMAIL_ADDRESS", "npm i @types/node@18.2.0; git clone git@host.org:a/b; logo@2x.png; a @ b; x@y; @jane", []),
        ("EMAIL_ADDRESS", "联系jane@example.com谢谢 jane@example.com로 jane@example.com.2 a@1.2.3", ["jane@example.com"] * 3),
        ("EMAIL_ADDRESS", "иван@пример.рф", ["иван@пример.рф"]),
        ("URL", "See http://a.example/x_(y), (https://example.com/z?a=1#b).", ["http://a.example/x_(y)", "https://example.com/z?a=1#b"]),
        ("URL", "`ftp://example.com/c` <https://x.io>, http://intranet/wiki!", ["ftp://example.com/c", "https://x.io", "http://intranet/wiki"]),
        ("URL", "visit www.example.museum or shop.example.co.uk/cart today", ["www.example.museum", "shop.example.co.uk/cart"]),
        ("URL", "请访问https://example.com/路径。谢谢", ["https://example.com/路径"]),
        ("URL", "http://[2001:db8::1]:80/x", ["http://[2001:db8::1]:80/x"]),
        ("URL", "logger.info('x') chai.it(y) df.at[0] a.us = 1", []),
        ("URL", "main.py README.md end.Then e.g.this ASP.NET Node.js com.example.app jane@example.com http://", []),
        ("IP_ADDRESS", "10.0.0.1:8080, 192.168.1.0/24; host=8.8.8.8.", ["10.0.0.1", "192.168.1.0/24", "8.8.8.8"]),
        ("IP_ADDRESS", "[::1]:80 fe80::1ff:fe23:4567:890a%eth0 2001:db8::/32", ["::1", "fe80::1ff:fe23:4567:890a", "2001:db8::/32"]),
        ("IP_ADDRESS", "at 6e40:4041:c617:e898:c11:40d2:c669:2eb4: error", ["6e40:4041:c617:e898:c11:40d2:c669:2eb4"]),
        ("IP_ADDRESS", "地址10.0.0.1和2001:db8::5的", ["10.0.0.1", "2001:db8::5"]),
        ("IP_ADDRESS", "::ffff:192.0.2.1", ["::ffff:192.0.2.1"]),
        ("IP_ADDRESS", "v1.20.3.40, version 10.2.3.4, Section 14.3.2.1, 10.2.3.4.5, 256.1.1.1, 4.3.2.1 Scope", []),
        ("IP_ADDRESS", "std::vector a::b 12:30:45 00:1A:2B:3C:4D:5E ::", []),
        ("CREDIT_CARD", "card 4111 1111 1111 1111 exp 12/25", ["4111 1111 1111 1111"]),
        ("CREDIT_CARD", "4012-8888-8888-1881, 5555555555554444.", ["4012-8888-8888-1881", "5555555555554444"]),
        ("CREDIT_CARD", "4012–8888–8888–1881", ["4012–8888–8888–1881"]),
        ("CREDIT_CARD", "3782 822463 10005 and 3056 930902 5904", ["3782 822463 10005", "3056 930902 5904"]),
        ("CREDIT_CARD", "4012 8888 8888 1881 123", ["4012 8888 8888 1881"]),
        ("CREDIT_CARD", "my card 4222222222222 and the other, 6304000000000000", ["4222222222222", "6304000000000000"]),
        ("CREDIT_CARD", "卡号4111111111111111。", ["4111111111111111"]),
        ("CREDIT_CARD", "order 4222222222222", []),
        ("CREDIT_CARD", "4111111111111112 x4111111111111111 41111111111111110000 card 1-4111111111111111", []),
        ("IBAN_CODE", "pay DE89 3704 0044 0532 0130 00 2 days", ["DE89 3704 0044 0532 0130 00"]),
        ("IBAN_CODE", "BE71 0961 2345 6769 from me to no9386011117947.", ["BE71 0961 2345 6769", "no9386011117947"]),
        ("IBAN_CODE", "GB29-NWBK-6016-1331-9268-19", ["GB29-NWBK-6016-1331-9268-19"]),
        ("IBAN_CODE", "DE88370400440532013000 DE89370400440532013001 DE893704004405320130001 XX89370400440532013000", []),
        ("IBAN_CODE", "my IBAN is GB36CKGO6397103211525", ["GB36CKGO6397103211525"]),
        ("IBAN_CODE", "the part GB36CKGO6397103211525", []),
        ("US_SSN", "SSN 219-09-9999, 219–09–9999", ["219-09-9999", "219–09–9999"]),
        ("US_SSN", "social security no 123 45 6789 or ssn: 123456789", ["123 45 6789", "123456789"]),
        ("US_SSN", "part no. 123-45-6789, P/N: 123-45-6789, AB-123-45-6789, 123-45-6789-X, 123-45-67890, 123 45 6789", []),
        ("US_SSN", "ssn 000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000, 123-45.6789", []),
        ("PHONE_NUMBER", "+1 (415) 555-2671 ext. 12, (415) 555-2671, 415.555.2671", ["+1 (415) 555-2671 ext. 12", "(415) 555-2671", "415.555.2671"]),
        ("PHONE_NUMBER", "Tel.: 030 1234567, +49 (0)30 123456, Fax 030-1234568", ["030 1234567", "+49 (0)30 123456", "030-1234568"]),
        ("PHONE_NUMBER", "(029) 2018211, 02 69 25 84 41, 00420 605 072 815", ["(029) 2018211", "02 69 25 84 41", "00420 605 072 815"]),
        ("PHONE_NUMBER", "我的电话010 6552 9988，手机：13912345678", ["010 6552 9988", "13912345678"]),
        ("PHONE_NUMBER", "the total of 2024 was 1 234 567 on 10.11.2024; telephone bill of 2024-11-21; PMID 12975657", []),
    ],
)  # fmt: skip
def test_values_are_found_with_exact_bounds_and_lookalikes_are_not(type: str, text: str, values: list[str]) -> None:
    assert found(text, type) == values


def test_a_number_of_one_digit_each_is_an_address_only_beside_words_of_the_net() -> None:
    assert found("4.3.2.1 Scope of work", "IP_ADDRESS") == []
    assert found("the server 4.3.2.1 is down", "IP_ADDRESS") == ["4.3.2.1"]
    assert found("4.3.2.1 Scope of work", "IP_ADDRESS", threshold=0.4) == ["4.3.2.1"]


def test_a_url_is_cut_around_the_email_in_it_and_stays_covered() -> None:
    text = "https://example.com/off?user=jane@corp.example&x=1"
    assert [(span.type, text[span.start : span.end]) for span in find(text)] == [
        ("URL", "https://example.com/off?user="),
        ("EMAIL_ADDRESS", "jane@corp.example"),
        ("URL", "&x=1"),
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from(TYPES), st.integers(0, 40), st.integers(1, 15), st.sampled_from([0.3, 0.7, 1.0]))
    )
)
def test_settled_spans_cover_every_find_in_order_without_overlap(finds: list[tuple[str, int, int, float]]) -> None:
    spans = [PiiSpan(type, start, start + length, score) for type, start, length, score in finds]
    settled = settle(spans)
    assert all(one.end <= other.start for one, other in pairwise(settled))
    assert {at for span in settled for at in range(span.start, span.end)} == {
        at for span in spans for at in range(span.start, span.end)
    }
    assert settled == settle(reversed(spans))


def test_of_two_finds_in_one_place_the_surer_names_it() -> None:
    assert settle([PiiSpan("PHONE_NUMBER", 0, 9, 0.6), PiiSpan("US_SSN", 2, 11, 1.0)]) == (
        PiiSpan("US_SSN", 0, 11, 1.0),
    )


def test_a_redacted_text_names_the_types_and_holds_no_value() -> None:
    text = "ä😀 mail jane@example.com, card 4111 1111 1111 1111; done"
    clean, spans = redact(text, find(text))
    assert clean == "ä😀 mail <EMAIL_ADDRESS>, card <CREDIT_CARD>; done"
    assert [clean[span.start : span.end] for span in spans] == ["<EMAIL_ADDRESS>", "<CREDIT_CARD>"]
    assert find(clean) == ()


any_text = st.lists(
    st.sampled_from(["a@b.co", "1.2.3.4", " ", "é", "😀", "http://x/", "4111111111111111", "\n", "x"])
).map("".join)


@given(any_text)
def test_what_is_outside_the_spans_is_kept_as_it_is(text: str) -> None:
    spans = find(text)
    clean, moved = redact(text, spans)
    before = after = 0
    for old, new in zip(spans, moved, strict=True):
        assert text[before : old.start] == clean[after : new.start]
        assert clean[new.start : new.end] == f"<{old.type}>" == f"<{new.type}>"
        before, after = old.end, new.end
    assert text[before:] == clean[after:]


@pytest.mark.parametrize("spans", [[(3, 5), (0, 2)], [(0, 3), (2, 5)], [(0, 99)], [(2, 2)]])
def test_spans_that_do_not_fit_the_text_are_refused(spans: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="span"):
        redact("a text", [PiiSpan("URL", start, end, 1.0) for start, end in spans])


@given(st.integers(10, 10**18), st.integers(0, 9), st.data())
def test_luhn_sees_every_single_wrong_digit(body: int, change: int, data: st.DataObject) -> None:
    digits = next(f"{body}{check}" for check in range(10) if luhn(f"{body}{check}"))
    at = data.draw(st.integers(0, len(digits) - 1))
    changed = digits[:at] + str(change) + digits[at + 1 :]
    assert luhn(changed) == (changed == digits)


@given(st.integers(0, 10**17), st.integers(0, 99))
def test_mod97_accepts_one_pair_of_check_digits_in_97(body: int, check: int) -> None:
    valid = 98 - int(f"{body:018}131400") % 97  # D is 13, E is 14
    assert mod97(f"DE{check:02}{body:018}") == (check % 97 == valid % 97)


HOSTILE = [
    "1234567890", "1 ", "1-", "1.", "12.34.", "4111 ", "4111-", "4111111111111111 ", "+1", "(1) ", "123-45-6789 ", "1.1.1.1 ",
    "GB82 WEST ", "GB82WEST12345698765432 ", "ab12 ", "a@", "@", "a@b.", "a@b.co ", "a%40b.co", "_", "-", "a-", ".", "a.", "x.com.", "co.uk/",
    "www.", "http://", "http://a@", "http://)", "http://[1:", "://", ")", "a:", "1111:", ":", "\\_a", "%40", "phone ", " ", "\n", "é", "a",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("pattern", HOSTILE)
def test_time_grows_with_the_length_of_a_hostile_text_and_no_faster(pattern: str) -> None:
    def seconds(length: int) -> float:
        text = (pattern * length)[:length]
        start = time.process_time()
        find(text, threshold=0)
        return time.process_time() - start

    # Ten times the text: 10 if linear, 100 if quadratic; the best of three, for other processes disturb.
    small, large = (min(seconds(length) for _ in range(3)) for length in (12_000, 120_000))
    assert large < 32 * max(small, 0.0005)


@pytest.mark.slow
def test_an_unknown_type_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"FAVOURITE_COLOUR.*EMAIL_ADDRESS"):
        find("blue", types=["FAVOURITE_COLOUR"])


@pytest.mark.slow
def test_national_identifiers_are_presidios_also_across_its_windows() -> None:
    value = "943-476-5919"  # a sample number whose check digit is right
    for at in (0, 790, 795, 800, 995, 2500):
        text = "x " * (at // 2) + f"NHS {value} " + "y " * 600
        assert found(text, "UK_NHS") == [value], at
    assert found("NHS 943-476-5918", "UK_NHS") == []


@pytest.mark.slow
@pytest.mark.parametrize("type", ["IN_PAN", "US_DRIVER_LICENSE", "DATE_TIME"])
def test_the_windows_keep_presidios_quadratic_patterns_linear(type: str) -> None:
    def seconds(length: int) -> float:
        text = "A1-b2/" * (length // 6) + "1-" * (length // 2)
        start = time.process_time()
        find(text, types=[type])
        return time.process_time() - start

    find("", types=[type])
    small, large = (min(seconds(length) for _ in range(3)) for length in (3_000, 30_000))
    assert large < 32 * max(small, 0.0005)


@pytest.mark.slow
def test_what_presidio_finds_of_our_types_we_find_as_well() -> None:
    pytest.importorskip("presidio_analyzer")
    from ingest.pii.presidio import recognisers

    text = (
        "Mail jane@example.com, see https://example.com/a and www.example.org. Card 4012888888881881, 3782-822463-10005. "
        "IBAN DE89370400440532013000, GB29 NWBK 6016 1331 9268 19. Hosts 10.20.30.40 and 2001:db8::8a2e:370:7334. SSN 219-09-9998."
    )
    for type in ("CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "US_SSN"):
        ours = find(text, types=[type])
        theirs = [
            hit for recogniser, _ in recognisers()[type] for hit in recogniser.analyze(text, [type]) if hit.score >= 0.5
        ]
        assert theirs
        for hit in theirs:
            assert any(span.start <= hit.start and hit.end <= span.end for span in ours), text[hit.start : hit.end]
