"""Frame labels follow the alignment, and match the phones of the toy language."""

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


def test_a_frame_has_the_label_of_its_middle() -> None:
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
    # A partial last frame has no label; frames of the same length have the alignment's labels.
    assert len(frame_labels(aligned, HOP, 300)) == 6
    assert names(frame_labels(aligned, HOP, HOP)) == [SILENCE] * 2 + ["s"] + ["i"] * 4 + (
        [SILENCE] * 3
    )


def test_stress_and_punctuation_do_not_change_labels() -> None:
    found = []
    for ipa, pause in (("ə", ","), ("ˈə", "?"), ("ˌə", ".")):
        words = (AlignedWord(text="A", ipa=ipa, pause=pause),)
        aligned = AlignedUtterance(
            speaker="ann", id="u", words=words, durations=(4, 4, 4), score=0.0
        )
        found.append(names(frame_labels(aligned, HOP, HOP)))
    assert found[0] == found[1] == found[2] == [SILENCE] * 4 + ["ə"] * 4 + [SILENCE] * 4


def agreement(toy: Toy, shift_s: float = 0.0) -> float:
    """Fraction of frames with the label of the true phone."""
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


def test_labels_match_the_true_phones(toy: Toy) -> None:
    assert agreement(toy) > 0.9
    assert agreement(toy, shift_s=0.05) < 0.8
