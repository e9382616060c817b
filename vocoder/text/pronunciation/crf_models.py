"""Part-of-speech tagger and grapheme-to-phoneme model: gruut's conditional random fields.

They are evaluated with crfsuite. The features are those of gruut 2 (MIT), with which the models
were trained, computed with less overhead: a word's features do not depend on its position in the
sentence, so they are cached.
"""

import base64
import functools
import threading
from collections.abc import Sequence
from pathlib import Path

import pycrfsuite

_NEIGHBOURS = (-2, -1, 0, 1, 2)
_NEIGHBOURING_LETTERS = (-3, -2, -1, 1, 2, 3)
_SILENT = "_"

Features = dict[str, str | float]


class Tagger:
    """Finds the part of speech of each word of a sentence, such as VBD. Thread-safe."""

    def __init__(self, model: Path) -> None:
        self._model = _open(model)
        self._lock = threading.Lock()

    def __call__(self, words: Sequence[str]) -> list[str]:
        """Penn Treebank tags, one for each word."""
        items = [_context_features(words, index) for index in range(len(words))]
        with self._lock:
            return list(self._model.tag(items))


def _context_features(words: Sequence[str], index: int) -> Features:
    features: Features = {}
    for offset in _NEIGHBOURS:
        if 0 <= index + offset < len(words):
            features.update(_word_features(words[index + offset], offset))
    if index == 0:
        features["BOS"] = 1.0
    if index == len(words) - 1:
        features["EOS"] = 1.0
    return features


@functools.lru_cache(maxsize=20_000)
def _word_features(word: str, offset: int) -> Features:
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


class GraphemeToPhoneme:
    """Predicts the phonemes of a word that is not in the lexicon. Thread-safe."""

    def __init__(self, model: Path) -> None:
        self._model = _open(model)
        self._lock = threading.Lock()

    def __call__(self, letters: str) -> list[str]:
        """Phonemes, in gruut's IPA, of the letters a-z and apostrophes; may be empty."""
        items = [_letter_features(letters, index) for index in range(len(letters))]
        with self._lock:
            labels = self._model.tag(items)
        phonemes = "|".join(base64.b64decode(label).decode() for label in labels).split("|")
        return [phoneme for phoneme in phonemes if phoneme and phoneme != _SILENT]


def _letter_features(letters: str, index: int) -> Features:
    features: Features = {"bias": 1.0, "grapheme": _encoded(letters[index])}
    for offset in _NEIGHBOURING_LETTERS:
        if 0 <= index + offset < len(letters):
            features[f"grapheme{offset:+d}"] = _encoded(letters[index + offset])
    if index == 0:
        features["begin"] = 1.0
    if index == len(letters) - 1:
        features["end"] = 1.0
    return features


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _open(model: Path) -> "pycrfsuite.Tagger":
    tagger = pycrfsuite.Tagger()
    tagger.open(str(model))
    return tagger
