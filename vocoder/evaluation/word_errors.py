"""Word errors of a recogniser: PocketSphinx with the model that its package brings, offline.

Optional: ``pip install 'vocoder[recognise]'``. It is an old and weak recogniser, so its error on
the recordings themselves is the measure of its error on synthetic speech.
"""

import importlib.util
import re
from collections.abc import Sequence
from typing import Any

from vocoder.audio import io as audio
from vocoder.audio.io import Samples
from vocoder.errors import UserError

RATE_HZ = 16000


class PocketSphinxAsr:
    """Hears words in audio."""

    def __init__(self) -> None:
        """Load the model.

        Raises:
            UserError: PocketSphinx is not installed; says how to install it.
        """
        if importlib.util.find_spec("pocketsphinx") is None:
            raise UserError(
                "word errors need PocketSphinx: pip install 'vocoder[recognise]', or leave "
                "--recognise out"
            )
        from pocketsphinx import Config, Decoder

        self._decoder: Any = Decoder(Config(loglevel="FATAL"))

    def hear(self, samples: Samples, sample_rate_hz: int) -> list[str]:
        """Words heard in samples (T,)."""
        at_rate = audio.resample(samples, sample_rate_hz, RATE_HZ)
        self._decoder.start_utt()
        self._decoder.process_raw(audio.to_pcm16(at_rate).tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return words_of(found.hypstr) if found else []


def words_of(text: str) -> list[str]:
    """Words of a text in small letters, without punctuation."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower().replace("’", "'").replace("-", " "))


def word_errors(spoken: Sequence[str], heard: Sequence[str]) -> int:
    """Least number of words inserted, left out and replaced (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for index, word in enumerate(spoken, start=1):
        before, row[0] = row[0], index
        for place, other in enumerate(heard, start=1):
            before, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, before + (word != other)),
            )
    return row[-1]
