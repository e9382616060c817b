"""The aligner: a model of the phoneme at each frame, learned from recordings and transcripts.

It is trained in two stages. The first is CTC (Graves et al. 2006), which finds the phonemes but
assigns most frames to its blank. The second disables the blank and divides by the label priors
(after Huang et al. 2024, "Less Peaky and More Accurate CTC Forced Alignment by Label Priors",
arXiv 2406.02560), so that each label lasts until the next one: a hidden Markov model with one state
per phone, trained on the sum over all alignments.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn

from vocoder.acoustic.modules import ConvStack
from vocoder.config import AlignerConfig, FeatureConfig
from vocoder.text.phone_labels import BLANK, LABELS, SILENCE
from vocoder.wavenet.spectrum import MEL_SPREAD

BLANK_DISABLED = -20.0
"""Log-probability of the disabled blank, which equal neighbours still need between them."""

UNWRITTEN_SILENCE = -1.5
"""Extra cost of silence between words without punctuation, in nats per frame."""

SHORTEST_PAUSE_S = 0.07
"""Shortest silence between words that counts as a pause."""


class Alignment(NamedTuple):
    """The timing of the phones of one utterance.

    Attributes:
        durations: frames of each label (N,), int64, each at least 1.
        pauses: frames of silence before each label (N,), int64; 0 for none. They are not included
            in the durations.
        score: mean log-probability of the labels at their frames.
    """

    durations: Tensor
    pauses: Tensor
    score: float


def repeats(labels: Tensor) -> int:
    """Number of labels (N,) equal to the one before: a path needs a blank before each of them."""
    return int((labels[1:] == labels[:-1]).sum())


class Aligner(nn.Module):
    """Maps a log-mel to the log-probability of each label at each frame."""

    def __init__(self, config: AlignerConfig, features: FeatureConfig) -> None:
        super().__init__()
        self.config, self.features = config, features
        self.stack = ConvStack(
            features.n_mels,
            config.channels,
            LABELS,
            config.layers,
            config.kernel_size,
            config.dropout,
        )
        self.prior: Tensor
        self.register_buffer("prior", torch.zeros(LABELS))

    def set_prior(self, counts: Tensor) -> None:
        """Set the log prior from the number of occurrences of each label (LABELS,)."""
        self.prior.copy_(((counts + 1) / (counts + 1).sum()).log() * self.config.prior_scale)

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Log-mel (B, n_mels, F) and mask (B, F) -> log-probabilities (B, LABELS, F)."""
        mask = mask[:, None]
        mean = (mel * mask).sum(2, keepdim=True) / mask.sum(2, keepdim=True)
        logits = self.stack((mel - mean) / MEL_SPREAD, mask)
        return logits.float().log_softmax(1)

    def loss(self, mel: Tensor, frames: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
        """CTC loss in nats per frame, a scalar: the first stage.

        Args:
            mel: (B, n_mels, F).
            frames: number of frames of each row (B,).
            labels: (B, N).
            counts: number of labels of each row (B,).
        """
        log_p = self(mel, _mask(frames, mel))
        nll = F.ctc_loss(log_p.permute(2, 0, 1), labels, frames, counts, BLANK, "sum")
        return nll / frames.sum()

    def full_sum_loss(self, mel: Tensor, frames: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
        """The second stage: cross-entropy against each label's posterior over all alignments.

        Its gradient equals that of the likelihood of a hidden Markov model with emissions
        ``p(label | frame) / prior``, summed over alignments. Arguments as for :meth:`loss`.
        """
        mask = _mask(frames, mel)
        log_p = self(mel, mask)
        scores = self._without_blank(log_p.detach()).permute(2, 0, 1).contiguous().requires_grad_()
        with torch.enable_grad():
            nll = F.ctc_loss(scores, labels, frames, counts, BLANK, "sum")
        # PyTorch's gradient is exp(score) minus the posterior, even for unnormalised scores.
        posterior = scores.detach().exp() - torch.autograd.grad(nll, scores)[0]
        posterior = posterior.clamp_min(0.0).permute(1, 2, 0) * mask[:, None]
        return -(posterior * log_p).sum() / frames.sum()

    def _without_blank(self, log_p: Tensor) -> Tensor:
        scores = log_p - self.prior[:, None]
        scores[:, BLANK] = BLANK_DISABLED
        return scores

    @torch.inference_mode()
    def align(self, mel: Tensor, labels: Tensor, word_starts: Tensor) -> Alignment:
        """The best alignment (Viterbi path) of one utterance.

        Args:
            mel: (n_mels, F).
            labels: (N,), at most F.
            word_starts: True where a label may follow a silence that is not in the text (N,).
        """
        log_p = self(mel[None], torch.ones(1, mel.shape[1]))
        scores = self._without_blank(log_p)
        # Between words the blank is unwritten silence. Its cost keeps it out of plosives.
        scores[:, BLANK] = scores[:, SILENCE] + UNWRITTEN_SILENCE
        path, _ = torchaudio.functional.forced_align(
            scores.transpose(1, 2).contiguous(), labels[None].int(), blank=BLANK
        )
        durations, pauses = self._durations(path[0], word_starts)
        found = path[0].where(path[0] != BLANK, SILENCE).long()
        score = float(log_p[0].gather(0, found[None]).mean())
        return Alignment(durations, pauses, score)

    def _durations(self, path: Tensor, word_starts: Tensor) -> tuple[Tensor, Tensor]:
        """Frames and pauses of each label; shorter blanks belong to the following label."""
        shortest = round(SHORTEST_PAUSE_S * self.features.frame_rate_hz)
        durations = torch.zeros_like(word_starts, dtype=torch.int64)
        pauses = torch.zeros_like(durations)
        index, blanks, before = -1, 0, BLANK
        for label in path.tolist():
            if label == BLANK:
                blanks += 1
            elif label != before:
                index += 1
                if blanks >= shortest and word_starts[index]:
                    pauses[index], blanks = blanks, 0
                durations[index], blanks = blanks + 1, 0
            else:
                durations[index] += 1
            before = label
        durations[index] += blanks
        return durations, pauses


def _mask(frames: Tensor, mel: Tensor) -> Tensor:
    return (torch.arange(mel.shape[2], device=mel.device)[None] < frames[:, None]).float()
