"""Pronunciation: IPA, homographs, single words, the user's own words, threads."""

import threading

import pytest

from vocoder.errors import TextError
from vocoder.text.pronunciation.crf_models import Tagger
from vocoder.text.pronunciation.pronouncer import Pronouncer, in_lexicon, parse_ipa


def ipa(sentence: str, **lexicon: str) -> list[str]:
    words = sentence.split()
    return ["".join(map(str, word)) for word in Pronouncer(lexicon).pronounce(words)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("həlˈoʊ", "həlˈoʊ"),
        ("hə.ˈloʊ", "həlˈoʊ"),
        ("tʃɜːtʃ", "t͡ʃɚt͡ʃ"),
        ("ˈrɛd", "ɹˈɛd"),
        ("ɡ o", "ɡoʊ"),
        ("pʰˈɪn", "pˈɪn"),
        ("bˈʌtn̩", "bˈʌtən"),
        ("ˈʌʔoʊ", "ˈʌtoʊ"),
        ("lɒx", "lɑk"),
    ],
)
def test_common_ways_of_writing_ipa_are_understood(written: str, meant: str) -> None:
    assert "".join(map(str, parse_ipa(written))) == meant


@pytest.mark.parametrize("written", ["", "ˈ", "həlø", "123", "hello q"])
def test_invalid_ipa_is_rejected(written: str) -> None:
    with pytest.raises(TextError, match="phoneme"):
        parse_ipa(written)


@pytest.mark.parametrize(
    ("sentence", "index", "expected"),
    [
        ("I have read it", 2, "ɹˈɛd"),
        ("They read it yesterday", 1, "ɹˈɛd"),
        ("He will read", 2, "ɹˈid"),
        ("Take the lead", 2, "lˈid"),
        ("a lead pipe", 1, "lˈɛd"),
        ("We used to go", 1, "jˈust"),
        ("It was used to cut", 2, "jˈuzd"),
        ("I used it", 1, "jˈuzd"),
        ("Live music", 0, "lˈaɪv"),
        ("I live here", 1, "lˈɪv"),
        ("Shed a tear", 2, "tˈɪɹ"),
        ("Do not tear it", 2, "tˈɛɹ"),
        ("Wind the clock", 0, "wˈaɪnd"),
        ("The wind blows", 1, "wˈɪnd"),
        ("The record shows", 1, "ɹˈɛkɚd"),
        ("Record it", 0, "ɹɪkˈɔɹd"),
        ("Close the door", 0, "klˈoʊz"),
        ("It is close", 2, "klˈoʊs"),
        ("We were there", 1, "wɚ"),
        ("the end", 0, "ði"),
        ("the use", 0, "ðə"),
        ("a dog", 0, "ə"),
        ("Vitamin A", 1, "ˈeɪ"),
    ],
)
def test_context_decides_between_homographs(sentence: str, index: int, expected: str) -> None:
    assert ipa(sentence)[index] == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("don't", "dˈoʊnt"),
        ("we'll", "wˈil"),
        ("o'clock", "oʊklˈɑk"),
        ("boss's", "bˈɔsɪz"),
        ("NASA's", "nˈæsəz"),
        ("Zürich", "zˈʊɹɪk"),
        ("café", "kæfˈeɪ"),
        ("F", "ˈɛf"),
        ("L's", "ˈɛlz"),
        ("COVID", "kˈoʊvɪd"),
        ("snowblower", "snˈoʊblˌoʊɚ"),
        ("hrbrt", "ˈeɪt͡ʃˈɑɹbˈiˈɑɹtˈi"),
        ("nice", "nˈaɪs"),
    ],
)
def test_single_words(word: str, expected: str) -> None:
    assert ipa(word) == [expected]


def test_a_predicted_word_has_primary_stress() -> None:
    for word in ("kubectl", "zxqvvorp", "blick", "a" * 200):
        assert "ˈ" in ipa(word)[0]


def test_user_lexicon_overrides_the_built_in_one_and_ignores_case() -> None:
    assert ipa("my GIF and gif's", gif="dʒɪf") == ["mˈaɪ", "d͡ʒɪf", "ˈænd", "ɡˈɪfs"]


def test_a_word_without_latin_letters_is_rejected() -> None:
    with pytest.raises(TextError, match="Latin"):
        ipa("слово")


def test_lexicon_contains_words_and_their_possessives() -> None:
    assert in_lexicon("Hello")
    assert in_lexicon("Smith's")
    assert not in_lexicon("hrbrt")


def test_models_are_thread_safe() -> None:
    sentence = ["They", "read", "the", "live", "record", "close", "to", "the", "wind"]
    expected = Pronouncer().pronounce(sentence)
    outcomes: list[bool] = []

    def pronounce() -> None:
        outcomes.extend(Pronouncer().pronounce(sentence) == expected for _ in range(50))

    threads = [threading.Thread(target=pronounce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 200


def test_tagger_runs_only_if_a_word_is_a_homograph(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    tag = Tagger.__call__

    def counted(self: Tagger, words: list[str]) -> list[str]:
        calls.append(len(words))
        return tag(self, words)

    monkeypatch.setattr(Tagger, "__call__", counted)
    ipa("The quick brown fox jumps over a lazy dog")
    assert calls == []
    ipa("They read it")
    assert calls == [3]
