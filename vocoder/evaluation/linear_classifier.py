"""A linear frame classifier: multinomial logistic regression on log-mels.

The baseline for the phoneme recogniser. It sees one frame, or several frames on either side too.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.wavenet.conditioning import pad_frames

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

MAX_ITERATIONS = 1000

EXPLAINED_VARIANCE = 0.99999
"""Fraction of the variance that the kept principal components explain; the rest is noise."""

COVARIANCE_FRAMES = 100_000
"""Frames from which the principal components are estimated."""


class Fit(NamedTuple):
    """The result of training.

    Attributes:
        iterations: of L-BFGS.
        nats: mean cross-entropy of the training frames.
    """

    iterations: int
    nats: float


class LinearClassifier:
    """Log-probabilities of labels from the log-mels of a frame and ``context`` frames either side.

    The inputs are whitened first. This does not change what the classifier can represent, but makes
    L-BFGS converge in few iterations.
    """

    def __init__(self, context: int, labels: int) -> None:
        self.context, self.labels = context, labels

    def fit(self, mels: list[Tensor], labels: list[Tensor], seed: int = 0) -> Fit:
        """Train on recordings.

        Args:
            mels: log-mel (n_mels, F) of each recording.
            labels: (F,), int64, of each recording.
            seed: selects the frames that the whitening is estimated from.
        """
        # Imported here: scikit-learn takes seconds to import, and only evaluation needs it.
        from sklearn.linear_model import LogisticRegression

        wanted = torch.cat(labels)
        self._whitening = self._fit_whitening(mels, len(wanted), seed)
        inputs = np.empty((len(wanted), self._whitening.n_components_), dtype=np.float32)
        ends = np.cumsum([mel.shape[1] for mel in mels])
        for rows, mel in zip(np.split(inputs, ends[:-1]), mels, strict=True):
            rows[:] = self._inputs(mel)
        self._regression: LogisticRegression = LogisticRegression(max_iter=MAX_ITERATIONS)
        self._regression.fit(inputs, wanted.numpy())
        nats = float(F.nll_loss(self._log_probabilities(inputs), wanted))
        return Fit(int(self._regression.n_iter_.max()), nats)

    def __call__(self, mel: Tensor) -> Tensor:
        """Log-mel (n_mels, F) -> log-probabilities (F, K); -inf for labels never trained on."""
        return self._log_probabilities(self._inputs(mel))

    def _log_probabilities(self, inputs: np.ndarray) -> Tensor:
        # Not predict_log_proba, which takes the log of probabilities that underflow to 0.
        scores = torch.from_numpy(self._regression.decision_function(inputs)).float()
        if scores.ndim == 1:  # two classes: the log-odds of the second
            scores = torch.stack((torch.zeros_like(scores), scores), 1)
        found = torch.full((len(inputs), self.labels), -torch.inf)
        found[:, self._regression.classes_] = scores.log_softmax(1)
        return found

    def _inputs(self, mel: Tensor) -> np.ndarray:
        """Whitened inputs of the frames of one recording (F, D)."""
        return np.asarray(self._whitening.transform(self._spliced(mel)), dtype=np.float32)

    def _spliced(self, mel: Tensor) -> np.ndarray:
        """Each frame with its context (F, (2 context + 1) n_mels); edge frames are repeated."""
        padded = pad_frames(mel, self.context).T
        around = torch.arange(mel.shape[1])[:, None] + torch.arange(2 * self.context + 1)
        return padded[around].flatten(1).numpy()

    def _fit_whitening(self, mels: list[Tensor], frames: int, seed: int) -> "PCA":
        from sklearn.decomposition import PCA

        sample = np.concatenate(list(self._sampled(mels, frames, seed)))
        whitening = PCA(EXPLAINED_VARIANCE, whiten=True, svd_solver="covariance_eigh")
        return whitening.fit(sample)

    def _sampled(self, mels: list[Tensor], frames: int, seed: int) -> Iterator[np.ndarray]:
        """Spliced frames, about ``COVARIANCE_FRAMES`` of ``frames``."""
        generator = np.random.default_rng(seed)
        for mel in mels:
            chosen = generator.random(mel.shape[1]) * frames < COVARIANCE_FRAMES
            yield self._spliced(mel)[chosen]
