"""Linguistic features: phones in context, and the same at the frame rate."""

import math

import pytest
import torch

from vocoder.text.frontend import TextFrontEnd
from vocoder.text.linguistic import (
    CHANNELS,
    CONTEXT,
    SILENCES,
    START,
    STRESSES,
    SYMBOLS,
    frame_features,
    frame_index,
    phones,
)
from vocoder.text.utterance import Phoneme, Sentence, Word

AH, BE = Phoneme("ɑ", 1), Phoneme("b")
SENTENCE = Sentence(
    (
        Word("bah", (BE, AH), ",", rate=2.0, pitch=3.0),
        Word("ab", (Phoneme("ɑ", 2), BE)),
        Word("a", (Phoneme("ɑ"),), "?", break_s=0.5),
    )
)


def names(sentence: Sentence) -> list[str]:
    return [SYMBOLS[index] for index in phones(sentence).symbols]


def test_phones_are_initial_silence_phonemes_and_pauses() -> None:
    assert names(SENTENCE) == [START, "b", "ɑ", ",", "ɑ", "b", "ɑ", "?"]
    found = phones(SENTENCE)
    assert found.words.tolist() == [-1, 0, 0, 0, 1, 1, 2, 2]
    assert found.rate.tolist() == [1, 2, 2, 2, 1, 1, 1, 1]
    assert found.pitch.tolist() == [0, 3, 3, 3, 0, 0, 0, 0]
    assert found.seconds.isnan().tolist() == [True] * 7 + [False]
    assert found.seconds[-1] == 0.5


def test_a_break_adds_a_pause() -> None:
    words = (Word("ab", (AH, BE), break_s=1.0), Word("ab", (AH, BE), "."))
    assert names(Sentence(words)) == [START, "ɑ", "b", ",", "ɑ", "b", "."]


def test_a_recorded_pause_counts_as_a_comma() -> None:
    found = phones(SENTENCE, frozenset({1}))
    assert [SYMBOLS[i] for i in found.symbols] == [START, "b", "ɑ", ",", "ɑ", "b", ",", "ɑ", "?"]


def test_context_gives_stress_and_position() -> None:
    context = phones(SENTENCE).context
    assert context.shape == (8, CONTEXT)
    assert context[2, :STRESSES].tolist() == [1, 0]
    assert context[4, :STRESSES].tolist() == [0, 1]
    # "b" of "ab": second of two phones, first of two words, second of two phrases.
    assert context[5, STRESSES:].tolist() == pytest.approx([1 / 8, 0, 0, 1 / 8, 1 / 4, 0])


def test_frame_index_in_every_row() -> None:
    durations = torch.tensor([[2, 1, 3], [1, 2, 0]])
    assert frame_index(durations, 6).tolist() == [[0, 0, 1, 2, 2, 2], [0, 1, 1, 1, 1, 1]]


def test_frame_features_give_neighbours_position_f0_and_voicing() -> None:
    found = phones(SENTENCE)
    durations = torch.tensor([[3, 1, 4, 2, 1, 1, 2, 5]])
    frames = int(durations.sum())
    log_f0, voiced = torch.full((1, frames), math.log(200.0)), torch.ones(1, frames)
    voiced[0, :3] = 0
    features = frame_features(found.symbols[None], found.context[None], durations, log_f0, voiced)
    assert features.shape == (1, CHANNELS, frames)
    size = len(SYMBOLS)
    before, now, after = (features[0, size * i : size * (i + 1), 5].argmax() for i in range(3))
    assert [SYMBOLS[i] for i in (before, now, after)] == ["b", "ɑ", ","]
    assert not features[0, :size, 0].any()  # no phone before the first
    position, left, length, f0, voicing = features[0, -5:, 5]
    assert float(position) == pytest.approx(1.5 / 4)
    assert float(position + left) == pytest.approx(1.0)
    assert float(length) == pytest.approx(math.log(4) / 3)
    assert float(f0) == pytest.approx(math.log(200) - 5)
    assert float(voicing) == 1
    assert not features[0, -1, :3].any()


def test_padding_a_row_does_not_change_its_features() -> None:
    found = phones(SENTENCE)
    durations = torch.tensor([3, 1, 4, 2, 1, 1, 2, 5])
    f0_and_voicing = torch.randn(2, 30)
    log_f0, voiced = f0_and_voicing[:1], f0_and_voicing[1:]
    alone = frame_features(
        found.symbols[None], found.context[None], durations[None], log_f0[:, :19], voiced[:, :19]
    )
    padded = [
        torch.nn.functional.pad(part[None], (0, 0) * (part.ndim - 1) + (0, 3))
        for part in (found.symbols, found.context, durations)
    ]
    longer = frame_features(*padded, log_f0, voiced)
    # Except for the next phone of the last phone, which padding turns into the first symbol.
    after = slice(2 * len(SYMBOLS), 3 * len(SYMBOLS))
    longer[:, after], alone[:, after] = 0, 0
    assert torch.equal(longer[..., :19], alone)


def test_every_phoneme_of_a_real_text_has_a_symbol() -> None:
    (sentence,) = TextFrontEnd().sentences("The quick brown fox jumps over 12 lazy dogs.")
    found = phones(sentence)
    assert (found.symbols[1:-1] >= SILENCES).all()
    assert SYMBOLS[found.symbols[-1]] == "."
