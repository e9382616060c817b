"""The text front end as a whole: text to sentences of words with phonemes."""

import contextlib
import itertools
import logging
import time

import pytest

from vocoder.errors import TextError
from vocoder.text.frontend import TextFrontEnd
from vocoder.text.sentences import HARD_WORD_LIMIT, SOFT_CHARACTER_LIMIT
from vocoder.text.utterance import PAUSES, PHONEMES


def read(text: str, **lexicon: str) -> list[str]:
    return [sentence.text for sentence in TextFrontEnd(lexicon).sentences(text)]


def ipa(text: str, **lexicon: str) -> str:
    return " ".join(sentence.phonemes for sentence in TextFrontEnd(lexicon).sentences(text))


def test_text_becomes_sentences_of_phonemes() -> None:
    sentences = list(TextFrontEnd().sentences("Hello, Dr. Smith! It's 5 p.m."))
    assert [sentence.text for sentence in sentences] == [
        "Hello, Doctor Smith!",
        "It's five P M.",
    ]
    assert sentences[0].phonemes == "hɛlˈoʊ, dˈɑktɚ smˈɪθ!"
    assert [word.pause for word in sentences[1].words] == ["", "", "", "."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no stop", ["no stop."]),
        ("a comma, at the end,", ["a comma, at the end."]),
        ("What?! No...", ["What?", "No."]),
        ("# Title\n\n- one\n- two", ["Title.", "one.", "two."]),
        ("A line\nthat goes on.\n\nAnother", ["a line that goes on.", "Another."]),
        ("1. First\n2. Second", ["one, First.", "two, Second."]),
        ("(In brackets.) \"And quoted,\" he said.", ["In brackets.", "And quoted, he said."]),
    ],
)  # fmt: skip
def test_sentences_end_with_punctuation(text: str, expected: list[str]) -> None:
    assert read(text) == expected


def test_inline_phonemes_are_one_word() -> None:
    (sentence,) = TextFrontEnd().sentences("Say [[təˈmeɪ toʊ]], please.")
    assert [word.text for word in sentence.words] == ["Say", "təˈmeɪtoʊ", "please"]
    assert sentence.phonemes == "sˈeɪ təmˈeɪtoʊ, plˈiz."


def test_invalid_inline_phonemes_are_rejected() -> None:
    with pytest.raises(TextError, match="unknown symbol 'y'"):
        read("Say [[yz]].")


def test_user_lexicon_is_matched_before_normalisation() -> None:
    lexicon = {
        "C3PO": "siˈθɹi",
        "kubectl": "ˈkubkətəl",
        "Node.js": "noʊd",
        "New York": "nu",
        "C": "si",
    }
    front_end = TextFrontEnd(lexicon)
    (sentence,) = front_end.sentences(
        "c3po's KUBECTL, Node.js in New York, not New Yorkers or C3POs."
    )
    assert [word.text for word in sentence.words] == [
        "c3po's", "KUBECTL", "Node.js", "in", "New York", "not", "New", "Yorkers", "or", "C",
        "three", "POs",
    ]  # fmt: skip
    assert sentence.phonemes.startswith("siθɹˈiz kˈubkətəl, noʊd ˈɪn nu, nˈɑt")


def test_invalid_lexicon_is_rejected() -> None:
    with pytest.raises(TextError, match=r"unknown symbol .* use the IPA symbols"):
        TextFrontEnd({"word": "w'rd"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("...!?", "only punctuation"),
        ("😀👨‍👩‍👧🇩🇪", "emoji"),
        ("\x00\x07\u200b\u200d", "has nothing to speak"),
        ("\ue000\ue001", "nothing to speak"),
        ("Привет, мир", "Cyrillic"),
        ("你好世界", "Chinese"),
        ("مرحبا", "Arabic"),
        ("Hi Привет", "Latin letters"),
        ("**", "nothing to speak"),
    ],
)
def test_unspeakable_text_is_rejected(text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        next(TextFrontEnd().sentences(text))


def test_a_few_foreign_letters_are_skipped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read("The word 你好 means hello.") == ["The word means hello."]
    assert "你好" in caplog.text


def test_a_lone_symbol_is_read() -> None:
    assert read("&") == ["and."]
    assert read("100%") == ["one hundred percent."]


def test_parts_of_a_long_sentence_end_with_commas() -> None:
    sentences = list(TextFrontEnd().sentences("and one more word " * 100))
    assert [sentence.words[-1].pause for sentence in sentences] == [","] * (len(sentences) - 1) + [
        "."
    ]
    assert sum(len(sentence.words) for sentence in sentences) == 400


def test_ten_thousand_words_are_read_lazily() -> None:
    text = "This is a sentence of just ten words, is it? " * 1_000
    sentences = TextFrontEnd().sentences(text)
    start = time.process_time()
    first = next(sentences)
    until_first_s = time.process_time() - start
    assert first.text == "This is a sentence of just ten words, is it?"
    assert len(list(sentences)) == 999
    assert until_first_s < (time.process_time() - start) / 2


HOSTILE = [
    "a", ".", "1", " ", "(", "$1", "a.", "a ", "1,", "1.", "1-", "1/", "'", '"', "[[", "[", "*a",
    "_a", "#", "@a", "http://", "a@a.", "\n", "- a\n", "é", "中", "😀", "e\u0301", "&", "<", "A",
    "aB", "a1", "? ", "a? ", "°", "5'", "12:", "J. ", "½", "\u200d", "[a](", "/a", "2021-01-", "x^",
    "~", "`",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("last", ["", "x"])
def test_no_text_makes_an_endless_sentence(unit: str, last: str) -> None:
    text = (unit * 20_000)[:20_000] + last
    start = time.process_time()
    # Text with nothing to speak is rejected.
    with contextlib.suppress(TextError):
        for sentence in itertools.islice(TextFrontEnd().sentences(text), 20):
            assert len(sentence.words) <= HARD_WORD_LIMIT
            assert sum(len(word.text) for word in sentence.words) <= 2 * SOFT_CHARACTER_LIMIT
            assert sentence.words[-1].pause in PAUSES
            for word in sentence.words:
                assert all(phoneme.symbol in PHONEMES for phoneme in word.phonemes)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("unit", ["\u200d", "!", "中", "\x00"])
def test_error_messages_do_not_repeat_the_whole_text(unit: str) -> None:
    with pytest.raises(TextError) as caught:
        next(TextFrontEnd().sentences(unit * 100_000))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("unit", [".", "#", "!", "a'", "<", "-", "[", "*", '"', "=", "'"])
def test_long_runs_of_punctuation_do_not_take_quadratic_time(unit: str) -> None:
    text = "# " + unit * 200_000 + "x"
    start = time.process_time()
    next(TextFrontEnd().sentences(text))
    assert time.process_time() - start < 5
