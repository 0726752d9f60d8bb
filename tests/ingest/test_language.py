"""The language of a text is told where it can be, and left open where it cannot."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.language import LANGUAGES, SAMPLE, SAMPLES, _model, detect

SENTENCES = {
    "ar": "يصف الدليل إجازة الوالدين وقواعد نفقات السفر بالتفصيل.",
    "cs": "Příručka popisuje rodičovskou dovolenou a pravidla pro cestovní výdaje.",
    "da": "Håndbogen beskriver forældreorlov og reglerne for rejseudgifter i detaljer.",
    "de": "Das Handbuch beschreibt die Elternzeit und die Regeln für Reisekosten im Einzelnen.",
    "el": "Το εγχειρίδιο περιγράφει τη γονική άδεια και τους κανόνες για τα έξοδα ταξιδιού.",
    "en": "The employee handbook describes parental leave and the rules for travel expenses in detail.",
    "es": "El manual describe el permiso parental y las normas sobre los gastos de viaje.",
    "fi": "Käsikirjassa kuvataan vanhempainvapaa ja matkakuluja koskevat säännöt.",
    "fr": "Le manuel décrit le congé parental et les règles applicables aux frais de voyage.",
    "he": "המדריך מתאר את חופשת ההורות ואת הכללים להוצאות נסיעה.",
    "hi": "पुस्तिका में माता-पिता की छुट्टी और यात्रा व्यय के नियमों का वर्णन है।",
    "hu": "A kézikönyv leírja a szülői szabadságot és az utazási költségek szabályait.",
    "it": "Il manuale descrive il congedo parentale e le regole per le spese di viaggio.",
    "ja": "社員ハンドブックでは育児休暇と出張費の規則について説明しています。",
    "ko": "직원 안내서는 육아 휴직과 출장 경비 규정을 자세히 설명합니다.",
    "nl": "Het handboek beschrijft het ouderschapsverlof en de regels voor reiskosten.",
    "no": "Håndboken beskriver foreldrepermisjon og reglene for reiseutgifter i detalj, og hva du må gjøre.",
    "pl": "Podręcznik opisuje urlop rodzicielski oraz zasady zwrotu kosztów podróży.",
    "pt": "O manual descreve a licença parental e as regras para as despesas de viagem.",
    "ro": "Manualul descrie concediul parental și regulile privind cheltuielile de călătorie.",
    "ru": "В руководстве описаны отпуск по уходу за ребёнком и правила оплаты поездок.",
    "sv": "Handboken beskriver föräldraledighet och reglerna för resekostnader i detalj.",
    "th": "คู่มือพนักงานอธิบายการลาเพื่อเลี้ยงดูบุตรและกฎเกี่ยวกับค่าเดินทาง",
    "tr": "El kitabı ebeveyn iznini ve seyahat masraflarına ilişkin kuralları açıklar.",
    "uk": "У посібнику описано відпустку для догляду за дитиною та правила оплати поїздок.",
    "vi": "Sổ tay mô tả chế độ nghỉ phép chăm con và các quy định về chi phí đi lại.",
    "zh": "员工手册详细介绍了育儿假和差旅费用报销的规定。",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_one_sentence_is_enough(language: str) -> None:
    assert detect(SENTENCES[language]) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello",
        "Q3 EBITDA 2024",
        "12 34 56\n" * 90,
        "| 12,5 | 33 % |\n" * 50,
        "a@b.co http://example.com/the/employee/handbook/describes/parental/leave " * 9,
        "```\nthe employee handbook describes parental leave and the rules for travel expenses\n```",
        "aaaaaaa " * 90,
    ],
)
def test_a_text_that_is_short_or_holds_no_language_is_left_open(text: str) -> None:
    assert detect(text) is None


def test_code_addresses_and_numbers_in_a_text_do_not_count() -> None:
    code = "```python\nfor index in range(length):\n    print('the employee handbook')\n```\n"
    assert detect(code * 3 + SENTENCES["de"] + " https://example.com/the-employee-handbook 4711 " + code) == "de"
    assert detect("请访问https://example.com/a。第3章：" + SENTENCES["zh"]) == "zh"


def test_a_heading_in_another_language_does_not_decide_over_a_long_text() -> None:
    assert detect(f"# Employee handbook\n\n{SENTENCES['fr'] * 60}\n\nCopyright, all rights reserved") == "fr"


def test_a_text_half_in_one_language_and_half_in_another_is_left_open_or_one_of_them() -> None:
    assert detect(SENTENCES["en"] * 20 + SENTENCES["de"] * 20) in {"en", "de", None}


def test_every_language_of_the_model_with_a_code_of_two_letters_is_listed() -> None:
    assert {label for label in _model().labels if len(label) == 2} - {"nn"} == LANGUAGES


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec=None), max_size=3000))
def test_any_text_gives_a_listed_language_or_none_and_the_same_one_again(text: str) -> None:
    found = detect(text)
    assert found is None or found in LANGUAGES
    assert detect(text) == found


@pytest.mark.parametrize("pattern", ["a", "é ", "`", "<", "@", "a@", "://", "_", "1a", "```", "中"])
def test_time_does_not_grow_with_the_length_of_the_text(pattern: str) -> None:
    def seconds(length: int) -> float:
        text = (pattern * length)[:length]
        start = time.process_time()
        detect(text)
        return time.process_time() - start

    least = SAMPLE * SAMPLES
    small, large = (min(seconds(length) for _ in range(5)) for length in (least, 400 * least))
    assert large < 20 * max(small, 0.0005)
