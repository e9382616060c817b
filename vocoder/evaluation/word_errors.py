"""Word error rates with PocketSphinx and the model in its package, which needs no network.

Optional: ``pip install 'vocoder[recognise]'``. PocketSphinx is old and weak, so compare its error
rate on synthetic speech with its error rate on the recordings.
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
    """Recognises English words in audio."""

    def __init__(self) -> None:
        """Load the model.

        Raises:
            UserError: PocketSphinx is not installed; the message says how to install it.
        """
        if importlib.util.find_spec("pocketsphinx") is None:
            raise UserError(
                "word error rates need PocketSphinx: pip install 'vocoder[recognise]', or omit "
                "--recognise"
            )
        from pocketsphinx import Config, Decoder

        self._decoder: Any = Decoder(Config(loglevel="FATAL"))

    def transcribe(self, samples: Samples, sample_rate_hz: int) -> list[str]:
        """The words recognised in samples (T,)."""
        at_rate = audio.resample(samples, sample_rate_hz, RATE_HZ)
        self._decoder.start_utt()
        self._decoder.process_raw(audio.to_pcm16(at_rate).tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return words_of(found.hypstr) if found else []


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower().replace("’", "'").replace("-", " "))


def word_errors(spoken: Sequence[str], heard: Sequence[str]) -> int:
    """Minimum number of words inserted, deleted and substituted (Levenshtein distance)."""
    row = list(range(len(heard) + 1))
    for index, word in enumerate(spoken, start=1):
        before, row[0] = row[0], index
        for column, other in enumerate(heard, start=1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (word != other)),
            )
    return row[-1]
