"""A linear classifier of frames: multinomial logistic regression on log-mels.

What a recogniser is held against. It sees one frame, or some on either side as well.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.wavenet.conditioning import pad_frames

LARGEST_BATCH, SMALLEST_BATCH, UPDATES = 2048, 64, 200
"""Frames of a batch: as many as leave at least so many updates a pass."""

FIRST_RATE, LAST_RATE = 0.03, 2e-4
LEAST_GAIN = 2e-3
"""A pass that lowers the loss by less, in nats, halves the rate; below the last rate it is done."""

SMALLEST_VARIANCE = 1e-5
"""Of the largest: directions of less are noise."""

COVARIANCE_FRAMES = 100_000


class Fit(NamedTuple):
    """How training went.

    Attributes:
        passes: over the data.
        nats: mean cross-entropy of the training frames over the last pass.
        gain_nats: by which the last pass lowered it.
    """

    passes: int
    nats: float
    gain_nats: float


class LinearClassifier:
    """Logits as a linear function of the log-mels of a frame and ``context`` on either side.

    It is fitted in whitened coordinates, which changes nothing of what it can say but lets it
    converge in a few passes.
    """

    def __init__(self, context: int, labels: int) -> None:
        self.context, self.labels = context, labels

    def fit(self, mels: list[Tensor], labels: list[Tensor], seed: int = 0) -> Fit:
        """Minimise the mean cross-entropy until it falls no more.

        Args:
            mels: log-mel (n_mels, F) of each recording.
            labels: (F,), int64, of each.
            seed: of the order of the frames.
        """
        generator = torch.Generator().manual_seed(seed)
        frames, centres = self._laid_out(mels)
        wanted = torch.cat(labels)
        self._whiten(frames, centres[torch.randperm(len(centres), generator=generator)])
        self.weight = torch.zeros(self.whitening.shape[1], self.labels, requires_grad=True)
        self.bias = torch.zeros(self.labels, requires_grad=True)
        batch = min(LARGEST_BATCH, max(SMALLEST_BATCH, len(centres) // UPDATES))
        optimiser = torch.optim.Adam((self.weight, self.bias), lr=FIRST_RATE)
        passes, before, gain, rate = 0, math.log(self.labels), 0.0, FIRST_RATE
        while rate >= LAST_RATE:
            optimiser.param_groups[0]["lr"] = rate
            total = 0.0
            for chosen in torch.randperm(len(centres), generator=generator).split(batch):
                logits = self._logits(frames, centres[chosen])
                loss = F.cross_entropy(logits, wanted[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += float(loss.detach()) * len(chosen)
            passes, nats = passes + 1, total / len(centres)
            gain, before = before - nats, nats
            if gain < LEAST_GAIN:
                rate /= 2
        return Fit(passes, before, gain)

    @torch.no_grad()
    def __call__(self, mel: Tensor) -> Tensor:
        """Log-mel (n_mels, F) -> logits (F, K)."""
        return self._logits(*self._laid_out([mel]))

    def _laid_out(self, mels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """All frames in one row (N, n_mels), edges repeated, and where those to be labelled are."""
        padded = [pad_frames(mel, self.context).T for mel in mels]
        starts = torch.tensor([0, *(len(part) for part in padded)]).cumsum(0)
        centres = [
            int(start) + self.context + torch.arange(mel.shape[1])
            for start, mel in zip(starts, mels, strict=False)
        ]
        return torch.cat(padded), torch.cat(centres)

    def _spliced(self, frames: Tensor, centres: Tensor) -> Tensor:
        around = torch.arange(-self.context, self.context + 1)
        return frames[centres[:, None] + around].flatten(1)

    def _logits(self, frames: Tensor, centres: Tensor) -> Tensor:
        # The whitening is applied to the weights: there are fewer of them than of frames.
        weight = self.whitening @ self.weight
        return self._spliced(frames, centres) @ weight + (self.bias - self.mean @ weight)

    def _whiten(self, frames: Tensor, centres: Tensor) -> None:
        sample = self._spliced(frames, centres[:COVARIANCE_FRAMES])
        self.mean = sample.mean(0)
        variances, directions = torch.linalg.eigh(torch.cov(sample.T))
        kept = variances > SMALLEST_VARIANCE * variances[-1]
        self.whitening = directions[:, kept] / variances[kept].sqrt()
