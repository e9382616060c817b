"""Rendering a sentence: durations, breaks, pitch, timings."""

import itertools
import math

import pytest
import torch
from conftest import random_acoustic_model

from vocoder.acoustic.rendering import MAX_SILENCE_S, Rendering, render
from vocoder.errors import TextError
from vocoder.text.frontend import TextFrontEnd
from vocoder.text.linguistic import CHANNELS, SYMBOLS
from vocoder.text.utterance import Sentence

MODEL = random_acoustic_model()
TEXT = "She sells, sea shells."


def sentence(text: str = TEXT, *, ssml: bool = False) -> Sentence:
    (found,) = TextFrontEnd().sentences(text, ssml=ssml)
    return found


def seconds(rendering: Rendering) -> float:
    return rendering.mel.shape[1] / rendering.frame_rate_hz


def test_all_features_have_the_same_length() -> None:
    found = render(MODEL, sentence(), 0)
    frames = int(found.durations.sum())
    assert found.mel.shape == (80, frames)
    assert found.linguistic.shape == (CHANNELS, frames)
    assert found.f0.shape == (frames,)
    assert len(found.durations) == len(found.phones.symbols)


def test_the_same_seed_gives_the_same_mel() -> None:
    first, again = (render(MODEL, sentence(), 0, seed=3).mel for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, render(MODEL, sentence(), 0, seed=4).mel)


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_speed_scales_the_length(speed: float) -> None:
    usual, changed = render(MODEL, sentence(), 0), render(MODEL, sentence(), 0, speed=speed)
    assert seconds(changed) == pytest.approx(seconds(usual) / speed, rel=0.06)


def test_pitch_moves_f0_by_semitones() -> None:
    usual, higher = render(MODEL, sentence(), 0), render(MODEL, sentence(), 0, pitch=12.0)
    shift = higher.prosody.log_f0 - usual.prosody.log_f0
    assert torch.allclose(shift, torch.full_like(shift, math.log(2)), atol=1e-5)


def test_given_durations_are_used() -> None:
    count = len(render(MODEL, sentence(), 0).durations)
    durations = torch.arange(1, count + 1)
    assert torch.equal(render(MODEL, sentence(), 0, durations=durations).durations, durations)
    with pytest.raises(TextError, match=f"expected {count}"):
        render(MODEL, sentence(), 0, durations=durations[1:])
    with pytest.raises(TextError, match="at least 1"):
        render(MODEL, sentence(), 0, durations=durations - 1)


def test_a_break_lasts_as_long_as_the_text_asks() -> None:
    marked = sentence('<speak>She <break time="2s"/> sells.</speak>', ssml=True)
    found = render(MODEL, marked, 0, speed=2.0)
    assert int(found.durations.max()) == 2.0 * found.frame_rate_hz
    inner = found.mel[:, int(found.durations[:3].sum()) :][:, 40:80]
    # A silence longer than any in the training data holds one frame.
    assert MAX_SILENCE_S * found.frame_rate_hz / 2 < 40
    assert (inner == inner[:, :1]).all()


def test_punctuation_absent_from_the_recordings_is_read_like_a_full_stop() -> None:
    model = random_acoustic_model()
    plain = render(model, sentence("She sells."), 0)
    asked = render(model, sentence("She sells?"), 0)
    assert not torch.equal(plain.mel, asked.mel)
    heard = [number for number, symbol in enumerate(SYMBOLS) if symbol not in ("?", "!", "ʒ")]
    assert model.learn_symbols(torch.tensor(heard)) == ["ʒ"]
    assert torch.equal(plain.mel, render(model, sentence("She sells?"), 0).mel)


def test_silence_after_a_sentence() -> None:
    usual, longer = render(MODEL, sentence(), 0), render(MODEL, sentence(), 0, tail_s=0.5)
    assert seconds(longer) - seconds(usual) == pytest.approx(0.5)


def test_a_break_before_the_first_word_delays_it() -> None:
    marked = sentence('<speak><break time="1s"/>She sells.</speak>', ssml=True)
    plain = render(MODEL, sentence("She sells."), 0)
    later = render(MODEL, marked, 0)
    assert seconds(later) - seconds(plain) == pytest.approx(1.0)
    assert later.timings().words[0].start_s - plain.timings().words[0].start_s == pytest.approx(1.0)


def test_prosody_markup_changes_only_its_word() -> None:
    marked = sentence(
        '<speak>She <prosody rate="50%" pitch="+4st">sells</prosody> shells.</speak>', ssml=True
    )
    plain, changed = render(MODEL, sentence("She sells shells."), 0), render(MODEL, marked, 0)
    in_word = plain.phones.words == 1
    slow, usual = changed.durations[in_word].sum(), plain.durations[in_word].sum()
    assert int(slow) == pytest.approx(2 * int(usual), abs=2)
    before = int(plain.durations[:3].sum())
    shift = changed.prosody.log_f0[0, before + 1] - changed.prosody.log_f0[0, before - 1]
    assert float(shift) > 0.5 * 4 / 12 * math.log(2)


def test_timings_are_contiguous_and_cover_the_sentence() -> None:
    found = render(MODEL, sentence(), 0)
    words = found.timings(10.0).words
    assert found.timings().text == "She sells, sea shells."
    assert [word.text for word in words] == ["She", "sells", "sea", "shells"]
    phonemes = [phoneme for word in words for phoneme in word.phonemes]
    assert [phoneme.symbol for phoneme in phonemes] == _symbols(found)
    for one, following in itertools.pairwise(phonemes):
        assert one.end_s == pytest.approx(following.start_s)
    assert phonemes[-1].end_s == pytest.approx(10.0 + seconds(found))
    assert words[1].end_s == pytest.approx(words[1].phonemes[-2].end_s)
    assert words[1].phonemes[-1].symbol == ","


def _symbols(rendering: Rendering) -> list[str]:
    symbols = []
    for word in rendering.sentence.words:
        symbols += [*map(str, word.phonemes), *([word.pause] if word.pause else [])]
    return symbols
