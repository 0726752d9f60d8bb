"""Telephone numbers. National ones have no form of their own, so the words around them decide."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.pii.spans import PiiSpan

_PHONE = re.compile(
    r"(?<![0-9A-Za-z_+])(?<![0-9][.,/-])(?:\+|\(\+?)?[0-9](?:[ .\-/()\u2010-\u2013]{0,3}[0-9]){6,14}(?![0-9A-WYZa-wyz_%]|[.,/:-][0-9])"
    r"(?: ?(?:x|ext\.?|extension) ?[0-9]{1,6}\b)?"
)
_NORTH_AMERICAN = re.compile(
    r"(?:(?:\+?1|001)[ .-]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[.-][0-9]{4}(?: ?[a-z].*)?"
)
# 00420 605 072 815, (029) 2018211, 02 69 25 84 41
_TRUNK = re.compile(r"00[1-9][0-9]{0,2}[ ./-].{8,}|\(0[0-9]{1,4}\) ?[0-9].{3,}|0[1-9](?:[ .-][0-9]{2}){4}")
_PHONE_BEFORE = re.compile(
    r"\b(?:(?:(?:tele|cell)?phones?|tel|mobile|my cell|fax|hotline|helpline|pager|voicemail|whatsapp|sms|dial|"
    r"call(?:ed|ing)? (?:\w{1,12} ){0,3}(?:at|on)|(?:call|text|ring|reach|contact) (?:me|us|him|her|them)|"
    r"messages? (?:to|from|on|at)|answer(?:ing)? (?:at|on)|telefon\w{0,8}|handy|mobil|rufnummer|téléphone|tél|portable|"
    r"teléfono|móvil|celular|telefono|cellulare|telefone|telemóvel)\b|(?:cell|desk|office|direct|home|work|contact) ?[:=]"
    r")|电话|手机|電話|携帯|전화|휴대폰",
    re.IGNORECASE,
)
_PHONE_BEHIND = re.compile(r"[ ,;:(/-]{0,3}(?:office|fax|mobile|cell|phone|home|work|desk|tel)\b", re.IGNORECASE)
_DATE = re.compile(
    r"(?:1[89]|20)[0-9]{2}([-./])[01]?[0-9]\1[0-3]?[0-9](?![0-9])|[0-3]?[0-9]([-./])[0-3]?[0-9]\2(?:1[89]|20)[0-9]{2}(?![0-9])"
)


def phone_numbers(text: str) -> Iterator[PiiSpan]:
    """Yield telephone numbers of 7 to 15 digits (ITU-T E.164), with an extension where one is given.

    Score 0.8 in the international form, 0.7 in North America's; 0.6 with a trunk prefix that no other number has, or
    beside words such as "phone" or "call me on"; and 0.3 without them.
    """
    for found in _PHONE.finditer(text):
        start, end = found.span()
        number = found[0]
        digits = sum(map(str.isdigit, number.partition("x")[0]))
        if number.startswith(("+", "(+")) and digits > 7:
            score = 0.8
        elif _NORTH_AMERICAN.fullmatch(number):
            score = 0.7
        elif _TRUNK.fullmatch(number) or (not _DATE.match(number) and _is_called_a_phone(text, start, end)):
            score = 0.6
        else:
            score = 0.3
        yield PiiSpan("PHONE_NUMBER", start, end, score)


def _is_called_a_phone(text: str, start: int, end: int) -> bool:
    return bool(_PHONE_BEFORE.search(text, max(0, start - 32), start) or _PHONE_BEHIND.match(text, end))
