"""Words of languages in which a mark inside a word is part of it, or capitals are not Python's."""

import unicodedata

import pytest

from ptsel_fairseq.downstream.corpora.texts import normalise


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("kız ısındı, kiz isindi", "", "KIZ ISINDI KİZ İSİNDİ"),
        ("İpek ipek", "", "İPEK İPEK"),
        ("iki bin", "tr", "İKİ BİN"),
        ("iki bin", "az-AZ", "İKİ BİN"),
        ("Bin idea", "en", "BIN IDEA"),
        ("una novel·la", "ca", "UNA NOVEL·LA"),
        ("a · b", "ca", "A B"),
        ("می\u200cروم", "fa", "می\u200cروم"),
        ("o\u2018qish g\u2018oz", "uz", "OʻQISH GʻOZ"),
        ("o\u2018qish", "", "O'QISH"),
        ("ʻōlelo", "haw", "ʻŌLELO"),
        ("דו״ח", "he", "דו״ח"),
        ('דו"ח', "he", "דו״ח"),
        ("Dampf\u00adschiff", "de", "DAMPFSCHIFF"),
        ("straße", "de", "STRASSE"),
        ("'don’t' ‘quoted’ rock'n'roll", "en", "DON'T QUOTED ROCK'N'ROLL"),
        ("l'été", "fr", "L'ÉTÉ"),
        ("пʼять п'ять", "uk", "П'ЯТЬ П'ЯТЬ"),
        ("გამარჯობა", "ka", "გამარჯობა"),
        ("ΐ", "el", "Ϊ́"),
        ("5% — «мир»", "ru", "5 МИР"),
        ("' · - ׳", "", ""),
        ("", "", ""),
    ],
)
def test_words_stay_words(sentence, language, expected):
    found = normalise(sentence, language)
    assert found == unicodedata.normalize("NFC", expected)
    assert normalise(unicodedata.normalize("NFD", sentence), language) == found
    assert normalise(found, language) == found


def test_words_that_differ_stay_different():
    for one, other, language in (("sık", "sik", "tr"), ("ılık", "ilik", ""), ("на́", "на", "ru")):
        assert normalise(f"ı {one}", language) != normalise(f"ı {other}", language)
