"""The aligner: which phoneme is heard at each frame, learned from recordings and transcripts alone.

It is trained in two stages. The first is CTC (Graves et al. 2006), which finds the phonemes but
leaves most frames to its blank. In the second the blank is closed and labels are weighed by their
prior (after Huang et al. 2024, "Less Peaky and More Accurate CTC Forced Alignment by Label Priors",
arXiv 2406.02560), so each label lasts until the next one: a hidden Markov model of one state a
phone, trained on the sum over all alignments.
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

CLOSED = -20.0
"""Log-probability of the blank where it is closed; equal neighbours still need it between them."""

UNWRITTEN_SILENCE = -1.5
"""What silence costs between words without punctuation, in nats a frame, over its own."""

SHORTEST_PAUSE_S = 0.07
"""A silence between words that is at least so long is a pause."""


class Alignment(NamedTuple):
    """Phones of one utterance placed in time.

    Attributes:
        durations: frames of each label (N,), int64, each at least 1.
        pauses: silence in frames found before each label (N,), int64; 0 where there was none. It
            is counted neither in its own duration nor in its neighbours'.
        score: mean log-probability of the labels at their frames.
    """

    durations: Tensor
    pauses: Tensor
    score: float


def repeats(labels: Tensor) -> int:
    """Labels (N,) that equal the one before: a path needs a blank before each of them."""
    return int((labels[1:] == labels[:-1]).sum())


class Aligner(nn.Module):
    """Log-mel to the log-probability of each label at each frame."""

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
        """Take the log of how often each label occurs (LABELS,)."""
        self.prior.copy_(((counts + 1) / (counts + 1).sum()).log() * self.config.prior_scale)

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Log-mel (B, n_mels, F) and mask (B, F) -> log-probabilities (B, LABELS, F)."""
        mask = mask[:, None]
        mean = (mel * mask).sum(2, keepdim=True) / mask.sum(2, keepdim=True)
        logits = self.stack((mel - mean) / MEL_SPREAD, mask)
        return logits.float().log_softmax(1)

    def loss(self, mel: Tensor, frames: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
        """CTC loss in nats a frame, a scalar: the first stage.

        Args:
            mel: (B, n_mels, F).
            frames: of each row (B,).
            labels: (B, N).
            counts: labels of each row (B,).
        """
        log_p = self(mel, _mask(frames, mel))
        nll = F.ctc_loss(log_p.permute(2, 0, 1), labels, frames, counts, BLANK, "sum")
        return nll / frames.sum()

    def full_sum_loss(self, mel: Tensor, frames: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
        """The second stage: cross-entropy with each label's share in all alignments.

        Its gradient is that of the likelihood, summed over alignments, of a hidden Markov model
        whose emissions are ``p(label | frame) / prior``. Arguments as for :meth:`loss`.
        """
        mask = _mask(frames, mel)
        log_p = self(mel, mask)
        scores = self._closed(log_p.detach()).permute(2, 0, 1).contiguous().requires_grad_()
        with torch.enable_grad():
            nll = F.ctc_loss(scores, labels, frames, counts, BLANK, "sum")
        # PyTorch's gradient is exp(score) minus the share, whether or not the scores are normal.
        share = scores.detach().exp() - torch.autograd.grad(nll, scores)[0]
        share = share.clamp_min(0.0).permute(1, 2, 0) * mask[:, None]
        return -(share * log_p).sum() / frames.sum()

    def _closed(self, log_p: Tensor) -> Tensor:
        scores = log_p - self.prior[:, None]
        scores[:, BLANK] = CLOSED
        return scores

    @torch.inference_mode()
    def align(self, mel: Tensor, labels: Tensor, word_starts: Tensor) -> Alignment:
        """The best alignment (Viterbi path) of one utterance.

        Args:
            mel: (n_mels, F).
            labels: (N,), at most F.
            word_starts: True where silence may stand before a label though none is written (N,).
        """
        log_p = self(mel[None], torch.ones(1, mel.shape[1]))
        scores = self._closed(log_p)
        # Between words the blank is a silence nobody wrote. It is dear enough to stay out of stops.
        scores[:, BLANK] = scores[:, SILENCE] + UNWRITTEN_SILENCE
        path, _ = torchaudio.functional.forced_align(
            scores.transpose(1, 2).contiguous(), labels[None].int(), blank=BLANK
        )
        durations, pauses = self._durations(path[0], word_starts)
        heard = path[0].where(path[0] != BLANK, SILENCE).long()
        score = float(log_p[0].gather(0, heard[None]).mean())
        return Alignment(durations, pauses, score)

    def _durations(self, path: Tensor, word_starts: Tensor) -> tuple[Tensor, Tensor]:
        """Frames and pauses of each label; blanks that are no pause belong to the label after."""
        least = round(SHORTEST_PAUSE_S * self.features.frame_rate_hz)
        durations = torch.zeros_like(word_starts, dtype=torch.int64)
        pauses = torch.zeros_like(durations)
        index, blanks, before = -1, 0, BLANK
        for label in path.tolist():
            if label == BLANK:
                blanks += 1
            elif label != before:
                index += 1
                if blanks >= least and word_starts[index]:
                    pauses[index], blanks = blanks, 0
                durations[index], blanks = blanks + 1, 0
            else:
                durations[index] += 1
            before = label
        durations[index] += blanks
        return durations, pauses


def _mask(frames: Tensor, mel: Tensor) -> Tensor:
    return (torch.arange(mel.shape[2], device=mel.device)[None] < frames[:, None]).float()
