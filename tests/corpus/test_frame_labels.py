"""Labels of frames lie where the alignment says, and where the phones really are."""

import numpy as np
import torch
from conftest import Toy
from toy_speech import RATE, WORDS, cut_at_s

from vocoder.corpus.alignment import AlignedUtterance, AlignedWord
from vocoder.corpus.frame_labels import FRAME_LABELS, SILENCE, frame_labels, read_labelled
from vocoder.corpus.shards import aligned_utterances

HOP, POOL = 200, 160


def names(labels: torch.Tensor) -> list[str]:
    return [FRAME_LABELS[label] for label in labels.tolist()]


def test_a_frame_is_what_is_spoken_at_its_middle() -> None:
    words = (AlignedWord(text="See", ipa="s ˈi", pause="."),)
    aligned = AlignedUtterance(
        speaker="ann", id="u", words=words, durations=(2, 1, 4, 3), score=0.0
    )
    ends = np.cumsum(aligned.durations) * HOP
    middles = np.arange(2000 // POOL) * POOL + POOL / 2
    spoken = (SILENCE, "s", "i", SILENCE)
    expected = [spoken[int(np.searchsorted(ends, middle, "right"))] for middle in middles]
    assert names(frame_labels(aligned, HOP, POOL)) == expected
    assert expected[:5] == [SILENCE, SILENCE, "s", "s", "i"]
    # What no whole frame covers has no label; where the frames are the alignment's, so are these.
    assert len(frame_labels(aligned, HOP, 300)) == 6
    assert names(frame_labels(aligned, HOP, HOP)) == [SILENCE] * 2 + ["s"] + ["i"] * 4 + (
        [SILENCE] * 3
    )


def test_stress_and_the_kind_of_pause_make_no_other_label() -> None:
    found = []
    for ipa, pause in (("ə", ","), ("ˈə", "?"), ("ˌə", ".")):
        words = (AlignedWord(text="A", ipa=ipa, pause=pause),)
        aligned = AlignedUtterance(
            speaker="ann", id="u", words=words, durations=(4, 4, 4), score=0.0
        )
        found.append(names(frame_labels(aligned, HOP, HOP)))
    assert found[0] == found[1] == found[2] == [SILENCE] * 4 + ["ə"] * 4 + [SILENCE] * 4


def agreement(toy: Toy, shift_s: float = 0.0) -> float:
    """Share of frames whose label is the phone that the toy language has there."""
    right = frames = 0
    for utterance, aligned in aligned_utterances(toy.corpus, "train"):
        audio, labels = read_labelled(toy.corpus, utterance, aligned, POOL)
        assert len(audio) == len(labels) * POOL
        truth = toy.truth[utterance.speaker, utterance.id]
        words = truth.text.lower().rstrip(".").split()
        phones = [SILENCE, *(phone for word in words for phone in WORDS[word]), SILENCE]
        cut = cut_at_s(truth, toy.corpus.read(utterance)[0].numpy().astype(np.float32))
        times = cut + shift_s + (np.arange(len(labels)) + 0.5) * POOL / RATE
        places = np.searchsorted(truth.ends_s, times, "right").clip(0, len(phones) - 1)
        spoken = [phones[place] for place in places]
        right += sum(one == other for one, other in zip(names(labels), spoken, strict=True))
        frames += len(labels)
    return right / frames


def test_labels_are_the_phones_that_are_heard(toy: Toy) -> None:
    assert agreement(toy) > 0.9
    assert agreement(toy, shift_s=0.05) < 0.8
