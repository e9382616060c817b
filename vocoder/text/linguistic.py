"""Linguistic features: phones of a sentence with their context, and the same at the frame rate.

What van den Oord et al. 2016 (section 3.2) condition on: phone identity with neighbours, stress,
position in phone, word and phrase, duration, log F0 and voicing.
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
"""The first so many symbols are silence."""

_NUMBER = {symbol: index for index, symbol in enumerate(SYMBOLS)}

STRESSES = 2
POSITIONS = 6
CONTEXT = STRESSES + POSITIONS
"""Numbers that say where a phone stands: see :class:`Phones`."""

NEIGHBOURS = (-1, 0, 1)
CHANNELS = len(NEIGHBOURS) * len(SYMBOLS) + CONTEXT + 5
"""Channels of the features at the frame rate: see :func:`frame_features`."""

LAYOUT = hashlib.sha256(repr((SYMBOLS, NEIGHBOURS, CONTEXT, CHANNELS)).encode()).hexdigest()[:16]
"""Tells features of one table of symbols and channels from those of another."""

_PHONES_IN_A_WORD, _WORDS_IN_A_PHRASE, _PHRASES = 8.0, 8.0, 4.0


class Phones(NamedTuple):
    """The phones of one sentence, pauses included, N in all.

    Attributes:
        symbols: index into ``SYMBOLS`` (N,), int64.
        context: (N, CONTEXT): primary stress, secondary stress; then, each as a fraction of its
            usual number and at most 1.5, phones before and after it in the word, words before and
            after it in the phrase, phrases before and after it in the sentence.
        words: index of the word it belongs to (N,), int64; a pause belongs to the word before it,
            the silence before the sentence to -1.
        rate: factor of the speed (N,).
        pitch: shift of F0 in semitones (N,).
        seconds: length where the text fixes it (N,); NaN elsewhere.
    """

    symbols: Tensor
    context: Tensor
    words: Tensor
    rate: Tensor
    pitch: Tensor
    seconds: Tensor


@dataclass(frozen=True)
class _Place:
    word: int
    words: int
    phrase: int
    phrases: int


def phones(sentence: Sentence, pauses: frozenset[int] = frozenset()) -> Phones:
    """The phones of a sentence in their context.

    Args:
        sentence: of the text front end.
        pauses: indices of words after which the speaker paused though the text has no comma there.
    """
    words = [
        Word(
            word.text,
            word.phonemes,
            word.pause or ("," if index in pauses or word.break_s is not None else ""),
        )
        for index, word in enumerate(sentence.words)
    ]
    places = _places(words)
    rows = [(_NUMBER[START], [0.0] * CONTEXT, -1)]
    for index, (word, place) in enumerate(zip(words, places, strict=True)):
        count = len(word.phonemes)
        for position, phoneme in enumerate(word.phonemes):
            stress = [float(phoneme.stress == degree) for degree in (1, 2)]
            where = _positions(position, count, place)
            rows.append((_NUMBER[phoneme.symbol], stress + where, index))
        if word.pause:
            where = _positions(0, 1, place)
            rows.append((_NUMBER[word.pause], [0.0] * STRESSES + where, index))
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


def _places(words: list[Word]) -> list[_Place]:
    """Where each word stands in its phrase, and that in the sentence; a pause ends a phrase."""
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
        _Place(word, length, phrase, len(phrases))
        for phrase, length in enumerate(phrases)
        for word in range(length)
    ]


def _positions(phone: int, phones_in_word: int, place: _Place) -> list[float]:
    pairs = (
        (phone, phones_in_word, _PHONES_IN_A_WORD),
        (place.word, place.words, _WORDS_IN_A_PHRASE),
        (place.phrase, place.phrases, _PHRASES),
    )
    return [
        min(1.5, count / usual)
        for index, length, usual in pairs
        for count in (index, length - 1 - index)
    ]


def frame_index(durations: Tensor, frames: int) -> Tensor:
    """Which phone each frame belongs to.

    Args:
        durations: frames of each phone (B, N), int64; rows may end in zeros.
        frames: F, at least the longest row's sum.

    Returns:
        Index (B, F), int64; frames after a row's end belong to its last phone.
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
        (B, CHANNELS, F): one-hot symbols of the phone before, this one and the next; context; then
        position in the phone as fractions from its start and to its end, logarithm of its duration,
        log F0 and voicing.
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
