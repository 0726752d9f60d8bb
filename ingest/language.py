"""Which language a text is written in, by py3langid: byte n-grams and naive Bayes, deterministic, its model in the package.

Source: Lui and Baldwin, "langid.py: an off-the-shelf language identification tool", ACL 2012.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from indexes.errors import DependencyMissing

LANGUAGES = frozenset(
    # ISO 639-1; Norwegian in either form is `no`.
    [
        *("af", "am", "an", "ar", "as", "az", "ba", "be", "bg", "bn", "br", "bs", "ca", "cs", "cy", "da", "de", "dz"),
        *("el", "en", "eo", "es", "et", "eu", "fa", "fi", "fo", "fr", "fy", "ga", "gd", "gl", "gu", "ha", "he", "hi"),
        *("hr", "ht", "hu", "hy", "id", "ig", "is", "it", "ja", "jv", "ka", "kk", "km", "kn", "ko", "ku", "ky", "la"),
        *("lb", "lg", "ln", "lo", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "no", "oc"),
        *("om", "or", "pa", "pl", "ps", "pt", "qu", "ro", "ru", "rw", "sa", "se", "si", "sk", "sl", "sn", "so", "sq"),
        *("sr", "st", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug", "uk", "ur", "uz", "vi", "vo"),
        *("wa", "xh", "yo", "zh", "zu"),
    ]
)
"""Every language that `detect` can return."""

SURE = 0.6
"""Least confidence of py3langid, in [0, 1], at which its answer counts."""

MIN_BYTES = 40
"""Least UTF-8 bytes of letters: some seven words of English, a dozen Chinese characters."""

SAMPLE, SAMPLES = 400, 3
"""Characters read in one place, and places: the top, the middle and the end of a long text."""

_SAME = {"nn": "no", "yue": "zh", "wuu": "zh", "arz": "ar", "ary": "ar", "pcm": "en"}
# Code, addresses and figures belong to no language.
_FOREIGN = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|[!-~]*(?:://|@)[!-~]*|<[^<>\n]{1,200}>|[A-Za-z]*[\d_][A-Za-z\d_]*", re.DOTALL
)
_OTHER = re.compile(r"(?:[^\w'’]|_)+")


def detect(text: str) -> str | None:
    """Return the language of a text.

    Args:
        text: Markdown or plain; code, addresses and numbers are passed over.
    Returns:
        A code of LANGUAGES, or None where the text is too short to tell, holds no language, is mixed, or is in one that
        is too close to another to be sure.
    Raises:
        DependencyMissing: py3langid is not installed.
    Cost: reads at most 1,200 characters: about 1 ms. The first call loads the model: 1 s, 70 MB.
    """
    letters = _OTHER.sub(" ", _FOREIGN.sub(" ", _sample(text))).strip()
    if len(letters.encode("utf-8", errors="ignore")) < MIN_BYTES:
        return None
    found, confidence = _model().classify(letters)
    language = _SAME.get(found, found)
    return language if confidence >= SURE and language in LANGUAGES else None


def _sample(text: str) -> str:
    if len(text) <= SAMPLE * SAMPLES:
        return text
    step = (len(text) - SAMPLE) // (SAMPLES - 1)
    return "\n".join(text[place * step : place * step + SAMPLE] for place in range(SAMPLES))


@cache
def _model() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise DependencyMissing("py3langid", extra="policy") from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
