"""Conditional random fields that tag words and spell sounds: gruut's models, read with crfsuite.

The features are those of gruut 2 (MIT), which the models were trained with, made without its
overhead: those of a word are the same in each place, so they are kept.
"""

import base64
import functools
import threading
from collections.abc import Sequence
from pathlib import Path

import pycrfsuite

_NEIGHBOURS = (-2, -1, 0, 1, 2)
_LETTERS_AROUND = (-3, -2, -1, 1, 2, 3)
_NO_SOUND = "_"

Features = dict[str, str | float]


class Tagger:
    """Part of speech of each word of a sentence, such as VBD. Safe to use from several threads."""

    def __init__(self, model: Path) -> None:
        self._model = _opened(model)
        self._lock = threading.Lock()

    def __call__(self, words: Sequence[str]) -> list[str]:
        """Penn Treebank tags, one a word."""
        items = [_in_context(words, place) for place in range(len(words))]
        with self._lock:
            return list(self._model.tag(items))


def _in_context(words: Sequence[str], place: int) -> Features:
    features: Features = {}
    for offset in _NEIGHBOURS:
        if 0 <= place + offset < len(words):
            features.update(_of_word(words[place + offset], offset))
    if place == 0:
        features["BOS"] = 1.0
    if place == len(words) - 1:
        features["EOS"] = 1.0
    return features


@functools.lru_cache(maxsize=20_000)
def _of_word(word: str, offset: int) -> Features:
    prefix = f"{offset:+d}:" if offset else ""
    return {
        f"{prefix}bias": 1.0,
        f"{prefix}word": _encoded(word),
        f"{prefix}len(word)": float(len(word)),
        f"{prefix}word.ispunctuation": 0.0,
        f"{prefix}word.isdigit()": 0.0,
        f"{prefix}word[:2]": word[:2],
        f"{prefix}word[:3]": word[:3],
        f"{prefix}word[-2:]": word[-2:],
        f"{prefix}word[-3:]": word[-3:],
    }


class LettersToSounds:
    """Guesses the phonemes of an unknown word. Safe to use from several threads."""

    def __init__(self, model: Path) -> None:
        self._model = _opened(model)
        self._lock = threading.Lock()

    def __call__(self, letters: str) -> list[str]:
        """Phonemes in gruut's IPA of small letters a-z and apostrophes; maybe none."""
        items = [_of_letter(letters, place) for place in range(len(letters))]
        with self._lock:
            labels = self._model.tag(items)
        sounds = "|".join(base64.b64decode(label).decode() for label in labels).split("|")
        return [sound for sound in sounds if sound and sound != _NO_SOUND]


def _of_letter(letters: str, place: int) -> Features:
    features: Features = {"bias": 1.0, "grapheme": _encoded(letters[place])}
    for offset in _LETTERS_AROUND:
        if 0 <= place + offset < len(letters):
            features[f"grapheme{offset:+d}"] = _encoded(letters[place + offset])
    if place == 0:
        features["begin"] = 1.0
    if place == len(letters) - 1:
        features["end"] = 1.0
    return features


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _opened(model: Path) -> "pycrfsuite.Tagger":
    tagger = pycrfsuite.Tagger()
    tagger.open(str(model))
    return tagger
