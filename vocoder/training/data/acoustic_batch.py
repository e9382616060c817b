"""Batches of aligned utterances for the acoustic model."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vocoder.acoustic.model import PhoneBatch, Prosody, energy_of
from vocoder.corpus.alignment import AlignedUtterance
from vocoder.corpus.utterances import ReadableCorpus, Utterance


class Row(NamedTuple):
    """One aligned utterance.

    Attributes:
        symbols: (N,), int64.
        context: (N, CONTEXT).
        durations: frames (N,), int64.
        log_f0: (F,), interpolated where unvoiced.
        voiced: 0 or 1 (F,).
        mel: (n_mels, F).
        speaker: index (), int64.
    """

    symbols: Tensor
    context: Tensor
    durations: Tensor
    log_f0: Tensor
    voiced: Tensor
    mel: Tensor
    speaker: Tensor


class AcousticBatch(NamedTuple):
    """A padded batch of B aligned utterances.

    Attributes:
        symbols, context, speaker, phone_mask: as in :class:`PhoneBatch`.
        durations: (B, N), int64; 0 in the padding.
        log_f0, voiced, mel: as in :class:`Row`, (B, F) and (B, n_mels, F).
        mask: 1 for frames, 0 for padding (B, F).
        noise: standard normal noise for the refiner (B, n_mels, F).
        time: flow time for the refiner, 0 to 1 (B,).
    """

    symbols: Tensor
    context: Tensor
    speaker: Tensor
    phone_mask: Tensor
    durations: Tensor
    log_f0: Tensor
    voiced: Tensor
    mel: Tensor
    mask: Tensor
    noise: Tensor
    time: Tensor

    @property
    def phones(self) -> PhoneBatch:
        """The phones and the speaker."""
        return PhoneBatch(self.symbols, self.context, self.speaker, self.phone_mask)

    @property
    def prosody(self) -> Prosody:
        """The prosody of the recordings."""
        return Prosody(self.log_f0, self.voiced, energy_of(self.mel))


def collate(rows: list[Row], generators: list[np.random.Generator]) -> AcousticBatch:
    """Collate rows into a batch; each row draws its noise from its own generator."""

    def padded(parts: list[Tensor]) -> Tensor:
        return pad_sequence(parts, batch_first=True)

    mel = padded([row.mel.T for row in rows]).transpose(1, 2)
    drawn = list(zip(rows, generators, strict=False))
    noise = [
        torch.from_numpy(generator.standard_normal(row.mel.T.shape, dtype=np.float32))
        for row, generator in drawn
    ]
    time = [generator.random(dtype=np.float32) for _, generator in drawn]
    return AcousticBatch(
        padded([row.symbols for row in rows]),
        padded([row.context for row in rows]),
        torch.stack([row.speaker for row in rows]),
        padded([torch.ones(len(row.symbols)) for row in rows]),
        padded([row.durations for row in rows]),
        padded([row.log_f0 for row in rows]),
        padded([row.voiced for row in rows]),
        mel,
        padded([torch.ones(len(row.voiced)) for row in rows]),
        padded(noise).transpose(1, 2),
        torch.tensor(time),
    )


def read_row(
    corpus: ReadableCorpus,
    utterance: Utterance,
    aligned: AlignedUtterance,
    speakers: tuple[str, ...],
) -> Row:
    """Read one aligned utterance of a corpus.

    Raises:
        CorpusError: the corpus was prepared without F0.
    """
    log_f0, voiced = corpus.read_log_f0(utterance)
    phones = aligned.phones
    return Row(
        phones.symbols,
        phones.context,
        torch.tensor(aligned.durations),
        log_f0,
        voiced,
        corpus.read(utterance)[1],
        torch.tensor(speakers.index(utterance.speaker)),
    )


def counts_of(batch: AcousticBatch) -> Tensor:
    """Number of phones, frames and voiced frames (3,)."""
    voiced = (batch.mask * batch.voiced).sum()
    return torch.stack([batch.phone_mask.sum(), batch.mask.sum(), voiced])
