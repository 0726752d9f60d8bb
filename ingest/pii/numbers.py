"""Numbers that name a person or an account: payment cards, IBANs, US social security numbers.

A check digit decides where there is one. Where there is none, the number's form and the words around it do. Every
pattern begins only where a number begins and is of bounded length, so that the cost is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.pii.spans import PiiSpan, near

_DASH = r"\-\u2010-\u2013"  # the hyphen and those that word processors make of it

# Issuer ranges, longest prefix first where they overlap: (pattern of the first digits, lengths).
# Source: ISO/IEC 7812 as the networks publish it.
_ISSUERS = tuple(
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        ("4", (13, 16, 19)),  # Visa
        ("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),  # Mastercard
        ("3[47]", (15,)),  # American Express
        ("30[0-5]|309|36|3[89]", (14, 16, 19)),  # Diners Club
        ("35", (16, 17, 18, 19)),  # JCB
        ("1800|2131", (15,)),  # JCB, old
        ("6011|64[4-9]|65|62|60|81|82", (16, 17, 18, 19)),  # Discover, UnionPay, RuPay
        ("220[0-4]", (16, 17, 18, 19)),  # Mir
        ("9792", (16,)),  # Troy
        ("50|5[6-8]|6", tuple(range(12, 20))),  # Maestro
    )
)
_CARD = re.compile(
    rf"(?<![0-9A-Za-z_])(?<![0-9][.{_DASH}])(?:"
    rf"[0-9]{{12,19}}+"
    rf"|[0-9]{{4}}(?P<sep>[ .{_DASH}])[0-9]{{4}}(?P=sep)[0-9]{{4}}(?P=sep)[0-9]{{1,4}}(?P<tail>(?P=sep)[0-9]{{3}}(?![0-9]))?"  # 13 to 16, or 19
    rf"|3[0-9]{{3}}(?P<amex>[ .{_DASH}])[0-9]{{6}}(?P=amex)[0-9]{{4,5}}"  # American Express and Diners Club
    rf")(?![0-9A-Za-z_])(?![.{_DASH}][0-9])"
)
_CARD_WORDS = re.compile(
    r"\b(?:(?:credit|debit|bank)? ?cards?|cc|pan|visa|master ?card|maestro|amex|american express|diners|discover|jcb|"
    r"union ?pay|(?:kredit|bank|ec-?)?karten?|cartes?|tarjetas?|carta|cartão|cv[vc]2?|expir(?:y|es|ed|ation)|billed|"
    r"charged?|pay(?:ment|ing)? (?:with|by|from))\b",
    re.IGNORECASE,
)

# Country and length. Source: SWIFT, IBAN Registry (ISO 13616).
_IBAN_REGISTRY = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28
EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26
IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28
NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25
SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
"""
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_REGISTRY.split()}
_GROUP = r"(?P=sep)[0-9A-Za-z]{4}(?![0-9A-Za-z])"
_GROUPS = rf"(?=(?P<sep>[ {_DASH}]))(?:{_GROUP}){{2,7}}(?:(?P=sep)[0-9A-Za-z]{{1,3}}(?![0-9A-Za-z]))?"
_IBAN = re.compile(rf"(?<![0-9A-Za-z_])[A-Za-z]{{2}}[0-9]{{2}}(?:[0-9A-Za-z]{{11,30}}+|{_GROUPS})(?![0-9A-Za-z_])")

_IBAN_WORDS = re.compile(
    r"\b(?:ibans?|bank|accounts?|wire|transfer|konto|compte|cuenta|conto|rekening)\b", re.IGNORECASE
)

_SSN = re.compile(
    rf"(?<![0-9A-Za-z_])(?<![0-9A-Za-z][.{_DASH}])(?!000|666|9)[0-9]{{3}}(?:(?P<sep>[ .{_DASH}])(?!00)[0-9]{{2}}(?P=sep)(?!0000)[0-9]{{4}}"
    rf"|(?!00)[0-9]{{2}}(?!0000)[0-9]{{4}})(?![0-9A-Za-z_])(?![.{_DASH}][0-9A-Za-z])"
)
_SSN_WORDS = re.compile(r"\b(?:ssns?|social ?sec(?:urity)?|soc\.? ?sec\.?|ss ?#|ss ?no)(?!\w)", re.IGNORECASE)
_PART_WORDS = re.compile(
    r"\b(?:parts?|p/n|pn|sku|serial|s/n|model|item|order|invoice|ticket|catalog(?:ue)?|article|art|version|case|po)\b"
    r"(?:\.|\b)(?: ?(?:no|nr|number|num|id|#)\b\.?)?[ :#]{0,3}$",
    re.IGNORECASE,
)


def cards(text: str) -> Iterator[PiiSpan]:
    """Yield payment card numbers: 12 to 19 digits, in groups or not, whose last is Luhn's check digit.

    With first digits and a length that are issued, score 1 beside a word such as "card" and 0.7 elsewhere; with others
    0.6 and 0.2. One number in ten passes the check by chance, and barcodes and order numbers are as short as 12 or 13
    digits: these need the word, and score 0.2 without.
    """
    for found in _CARD.finditer(text):
        start = found.start()
        for end in (found.end(), found.start("tail")):  # three more digits belong to the number, or are its CVV
            digits = "".join(filter(str.isdigit, text[start:end])) if end > 0 else ""
            if len(digits) > 11 and luhn(digits):
                yield PiiSpan("CREDIT_CARD", start, end, _card_score(digits, near(_CARD_WORDS, text, start, end)))
                break


def ibans(text: str) -> Iterator[PiiSpan]:
    """Yield IBANs in one piece or in groups of four, in either case, whose check digits are right (ISO 7064).

    Score 1 where the length is the country's; 0.6 where another was found beside a word such as "IBAN" or "account".
    """
    for found in _IBAN.finditer(text):
        start = found.start()
        length = _IBAN_LENGTHS.get(found[0][:2].upper())
        own = _end_of(found[0], length or 0)
        if own and _is_iban(found[0][:own]):
            yield PiiSpan("IBAN_CODE", start, start + own, 1.0)
        elif length and _is_iban(found[0]) and near(_IBAN_WORDS, text, *found.span()):
            yield PiiSpan("IBAN_CODE", start, found.end(), 0.6)


def social_security_numbers(text: str) -> Iterator[PiiSpan]:
    """Yield US social security numbers of areas, groups and serials that are issued (20 CFR 422.103 and the SSA's rules).

    Score 1 beside words that name one; else 0.7 with dashes, 0.4 with blanks or dots, 0.1 in one piece; 0.2 as a part
    number.
    """
    for found in _SSN.finditer(text):
        start, end = found.span()
        separator = found["sep"]
        if _PART_WORDS.search(text, max(0, start - 24), start):
            score = 0.2
        elif near(_SSN_WORDS, text, start, end):
            score = 1.0
        else:
            score = 0.1 if separator is None else 0.4 if separator in " ." else 0.7
        yield PiiSpan("US_SSN", start, end, score)


def luhn(digits: str) -> bool:
    """Whether the last digit is Luhn's check digit of those before it (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def mod97(iban: str) -> bool:
    """Whether the check digits of an IBAN in capitals are right: ISO 7064, MOD 97-10."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def _card_score(digits: str, named: bool) -> float:
    issued = any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _ISSUERS)
    if named:
        return 1.0 if issued else 0.6
    return 0.7 if issued and len(digits) > 13 else 0.2


def _is_iban(candidate: str) -> bool:
    number = "".join(filter(str.isalnum, candidate)).upper()
    # Four digits beside the check digits, lest groups of words count.
    return sum(map(str.isdigit, number)) > 5 and mod97(number)


def _end_of(candidate: str, length: int) -> int:
    """Return where the first `length` letters and digits of `candidate` end; 0 if not there, or if its word goes on."""
    seen = 0
    for at, character in enumerate(candidate, start=1):
        seen += character.isalnum()
        if seen == length:
            return 0 if candidate[at : at + 1].isalnum() else at
    return 0
