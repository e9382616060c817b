"""Phoneme labels of the frames of a recording, from its alignment."""

import torch
from torch import Tensor

from vocoder.audio.io import PCM_16_LEVELS
from vocoder.corpus.alignment import AlignedUtterance
from vocoder.corpus.utterances import ReadableCorpus, Utterance
from vocoder.text.linguistic import frame_index
from vocoder.text.phone_labels import labels_of
from vocoder.text.utterance import PHONEMES

SILENCE = "sil"

FRAME_LABELS = (SILENCE, *PHONEMES)
"""Silence of any kind, then each phoneme; stress makes no difference."""


def frame_labels(aligned: AlignedUtterance, hop: int, pool: int) -> Tensor:
    """Index into ``FRAME_LABELS`` of each frame of ``pool`` samples (F,), int64.

    A frame has the label of the phone at its middle. The rest of the recording after the last whole
    frame has no label.

    Args:
        aligned: durations in frames of ``hop`` samples.
        hop: samples per frame of the alignment.
        pool: samples per frame of the labels.
    """
    durations = torch.tensor(aligned.durations)
    frames = int(durations.sum())
    middles = torch.arange(frames * hop // pool) * pool + pool // 2
    phones = frame_index(durations[None], frames)[0][middles // hop]
    # The aligner's labels start with the blank, which is not a frame label.
    return labels_of(aligned.phones.symbols)[phones] - 1


def read_labelled(
    corpus: ReadableCorpus, utterance: Utterance, aligned: AlignedUtterance, pool: int
) -> tuple[Tensor, Tensor]:
    """Audio (F * pool,) in [-1, 1) and labels (F,) of a recording, cut to whole frames."""
    labels = frame_labels(aligned, corpus.features.hop_length, pool)
    pcm = corpus.read(utterance)[0][: len(labels) * pool]
    return pcm.float() / PCM_16_LEVELS, labels
