"""Linguistic features of a sentence: its phones in context, and the same at the frame rate.

These are the features that van den Oord et al. 2016 (section 3.2) condition on: phone identity with
neighbours, stress, position in phone, word and phrase, duration, log F0 and voicing.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.features.f0 import LOG_F0_CENTRE
from vocoder.text.utterance import PAUSES, PHONEMES, Sentence, Word

START = "^"
"""The silence before a sentence."""

SYMBOLS = (START, *PAUSES, *PHONEMES)
SILENCES = 1 + len(PAUSES)
"""Number of symbols that are silence; they come first in ``SYMBOLS``."""

_INDEX = {symbol: index for index, symbol in enumerate(SYMBOLS)}

STRESSES = 2
POSITIONS = 6
CONTEXT = STRESSES + POSITIONS
"""Number of context features of a phone: see :class:`Phones`."""

NEIGHBOURS = (-1, 0, 1)
CHANNELS = len(NEIGHBOURS) * len(SYMBOLS) + CONTEXT + 5
"""Number of channels of the frame-rate features: see :func:`frame_features`."""

LAYOUT = hashlib.sha256(repr((SYMBOLS, NEIGHBOURS, CONTEXT, CHANNELS)).encode()).hexdigest()[:16]
"""Identifies the table of symbols and channels that features were made with."""

_PHONES_IN_A_WORD, _WORDS_IN_A_PHRASE, _PHRASES = 8.0, 8.0, 4.0


class Phones(NamedTuple):
    """The N phones of one sentence, pauses included.

    Attributes:
        symbols: index into ``SYMBOLS`` (N,), int64.
        context: (N, CONTEXT): primary stress, secondary stress; then the number of phones before
            and after it in the word, words before and after it in the phrase, and phrases before
            and after it in the sentence, each divided by a typical count and at most 1.5.
        words: index of the phone's word (N,), int64; a pause belongs to the word before it, the
            silence before the sentence to -1.
        rate: speed factor (N,).
        pitch: F0 shift in semitones (N,).
        seconds: duration if the text specifies it (N,); NaN elsewhere.
    """

    symbols: Tensor
    context: Tensor
    words: Tensor
    rate: Tensor
    pitch: Tensor
    seconds: Tensor


@dataclass(frozen=True)
class _WordPosition:
    word: int
    words: int
    phrase: int
    phrases: int


def phones(sentence: Sentence, pauses: frozenset[int] = frozenset()) -> Phones:
    """The phones of a sentence in context.

    Args:
        sentence: from the text front end.
        pauses: indices of words after which the speaker paused although the text has no comma.
    """
    words = [
        Word(
            word.text,
            word.phonemes,
            word.pause or ("," if index in pauses or word.break_s is not None else ""),
        )
        for index, word in enumerate(sentence.words)
    ]
    word_positions = _word_positions(words)
    rows = [(_INDEX[START], [0.0] * CONTEXT, -1)]
    for index, (word, word_position) in enumerate(zip(words, word_positions, strict=True)):
        count = len(word.phonemes)
        for number, phoneme in enumerate(word.phonemes):
            stress = [float(phoneme.stress == degree) for degree in (1, 2)]
            positions = _positions(number, count, word_position)
            rows.append((_INDEX[phoneme.symbol], stress + positions, index))
        if word.pause:
            positions = _positions(0, 1, word_position)
            rows.append((_INDEX[word.pause], [0.0] * STRESSES + positions, index))
    symbols, context, owners = zip(*rows, strict=True)
    spoken = [None if index < 0 else sentence.words[index] for index in owners]
    silent = [symbol < SILENCES for symbol in symbols]
    seconds = [
        word.break_s if word and pause and word.break_s is not None else float("nan")
        for word, pause in zip(spoken, silent, strict=True)
    ]
    return Phones(
        torch.tensor(symbols),
        torch.tensor(context),
        torch.tensor(owners),
        torch.tensor([word.rate if word else 1.0 for word in spoken]),
        torch.tensor([word.pitch if word else 0.0 for word in spoken]),
        torch.tensor(seconds),
    )


def _word_positions(words: list[Word]) -> list[_WordPosition]:
    """Each word's position in its phrase, and the phrase's in the sentence.

    A pause ends a phrase.
    """
    phrases: list[int] = []
    count = 0
    for word in words:
        count += 1
        if word.pause:
            phrases.append(count)
            count = 0
    if count:
        phrases.append(count)
    return [
        _WordPosition(word, length, phrase, len(phrases))
        for phrase, length in enumerate(phrases)
        for word in range(length)
    ]


def _positions(phone: int, phones_in_word: int, at: _WordPosition) -> list[float]:
    pairs = (
        (phone, phones_in_word, _PHONES_IN_A_WORD),
        (at.word, at.words, _WORDS_IN_A_PHRASE),
        (at.phrase, at.phrases, _PHRASES),
    )
    return [
        min(1.5, count / typical)
        for index, length, typical in pairs
        for count in (index, length - 1 - index)
    ]


def frame_index(durations: Tensor, frames: int) -> Tensor:
    """Index of the phone that each frame belongs to.

    Args:
        durations: frames of each phone (B, N), int64; rows may end in zeros.
        frames: F, at least the sum of the longest row.

    Returns:
        Index (B, F), int64; frames after the end of a row belong to its last phone.
    """
    ends = durations.cumsum(1)
    at = torch.arange(frames, device=durations.device).expand(len(durations), -1).contiguous()
    last = torch.searchsorted(ends, ends[:, -1:].contiguous())
    return torch.searchsorted(ends, at, right=True).minimum(last)


def frame_features(
    symbols: Tensor, context: Tensor, durations: Tensor, log_f0: Tensor, voiced: Tensor
) -> Tensor:
    """Linguistic features at the frame rate.

    Args:
        symbols: (B, N), int64.
        context: (B, N, CONTEXT).
        durations: frames of each phone (B, N), int64.
        log_f0: natural logarithm of F0 in Hz (B, F), interpolated where unvoiced.
        voiced: 1 where voiced, else 0 (B, F).

    Returns:
        (B, CHANNELS, F): one-hot symbols of the previous, current and next phone; context; then the
        position in the phone as fractions from its start and to its end, the logarithm of its
        duration, log F0 and voicing.
    """
    frames = log_f0.shape[1]
    index = frame_index(durations, frames)
    one_hot = F.one_hot(symbols, len(SYMBOLS)).float()
    before, after = F.pad(one_hot, (0, 0, 1, 0))[:, :-1], F.pad(one_hot, (0, 0, 0, 1))[:, 1:]
    of_phones = torch.cat((before, one_hot, after, context), 2)
    of_frames = of_phones.gather(1, index[..., None].expand(-1, -1, of_phones.shape[2]))
    starts = (durations.cumsum(1) - durations).gather(1, index)
    lengths = durations.gather(1, index).clamp_min(1).float()
    position = (torch.arange(frames, device=index.device) - starts + 0.5) / lengths
    inner = torch.stack(
        (position, 1 - position, lengths.log() / 3, log_f0 - LOG_F0_CENTRE, voiced), 2
    )
    return torch.cat((of_frames, inner), 2).transpose(1, 2)
