"""Spectral contrast: sharpen a predicted log-mel, which is smoother than a recording's.

A model trained on mean errors predicts an average over all ways to say a phone: formants that are
too broad, with valleys between them that are too shallow, and too little movement from frame to
frame. Two linear filters undo part of it, in the manner of the postfilters of statistical synthesis
(Toda and Tokuda 2007, "A speech parameter generation algorithm considering global variance";
Yoshimura et al. 2005, mel-cepstral postfilter):

- over frequency, coefficients ``first`` to ``last`` of each frame's cepstrum, the orthonormal
  DCT-II over its bands, are multiplied by ``frequency``;
- over time, ``time`` of each frame's difference from the mean of the ``frames`` around it is added.

With ``keep_level``, each frame then gets back the power that it had. The second filter looks ahead
by ``frames // 2`` frames. Before its start and after its end a stream repeats its first and last
frame. No value depends on how the frames were cut into chunks.

The NumPy code here is the definition; native code does the same if it is available.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vocoder.config import ContrastConfig, FeatureConfig
from vocoder.native import library as native

Frames = npt.NDArray[np.float32]


class ReferenceContrast:
    """:class:`SpectralContrast` in NumPy."""

    def __init__(self, config: ContrastConfig, features: FeatureConfig) -> None:
        """See :class:`SpectralContrast`."""
        self._config = config
        self._floor = np.log(features.log_floor)
        self._side = config.frames // 2 if config.time else 0
        self._window = np.zeros((features.n_mels, 0))
        self._levels = np.zeros(0)
        self._started = False

    def push(self, mel: Frames) -> Frames:
        """See :meth:`SpectralContrast.push`."""
        if not mel.shape[1]:
            return mel
        frames = mel.astype(np.float64)
        if not self._started:
            self._started = True
            frames = np.concatenate((np.repeat(frames[:, :1], self._side, 1), frames), 1)
        return self._over_time(self._over_frequency(frames), np.logaddexp.reduce(frames, axis=0))

    def flush(self) -> Frames:
        """See :meth:`SpectralContrast.flush`."""
        last, level = self._window[:, -1:], self._levels[-1:]
        return self._over_time(np.repeat(last, self._side, 1), np.repeat(level, self._side))

    def _over_frequency(self, mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        import scipy.fft  # 17 MB of memory, which a server with native code can save.

        config = self._config
        cepstrum = scipy.fft.dct(mel, axis=0, norm="ortho")
        cepstrum[config.first : config.last + 1] *= config.frequency
        sharp: npt.NDArray[np.float64] = scipy.fft.idct(cepstrum, axis=0, norm="ortho")
        return sharp

    def _over_time(
        self, frames: npt.NDArray[np.float64], levels: npt.NDArray[np.float64]
    ) -> Frames:
        """Filter the frames that ``frames`` complete; keep those that later ones need."""
        window = np.concatenate((self._window, frames), 1)
        levels = np.concatenate((self._levels, levels))
        length = 2 * self._side + 1
        count = max(0, window.shape[1] - length + 1)
        self._window, self._levels = window[:, count:], levels[count:]
        centre = window[:, self._side : self._side + count]
        mean = sum(window[:, i : i + count] for i in range(length)) / length
        moved = centre + self._config.time * (centre - mean)
        if self._config.keep_level:
            kept = levels[self._side : self._side + count]
            moved += kept - np.logaddexp.reduce(moved, axis=0)
        return np.maximum(moved, self._floor).astype(np.float32)


class SpectralContrast:
    """A filter over one stream of frames."""

    def __init__(self, config: ContrastConfig, features: FeatureConfig) -> None:
        """A filter at the start of a stream.

        Args:
            config: how much contrast.
            features: settings of the mel.
        """
        library = native.find()
        self._filter: Any
        if library is None:
            self._filter = ReferenceContrast(config, features)
            self._transposed = False
            return
        self._transposed = True
        self._filter = library.ContrastFilter(
            bands=features.n_mels,
            first=config.first,
            last=config.last,
            frequency=config.frequency,
            time=config.time,
            frames=config.frames,
            keep_level=config.keep_level,
            floor=float(np.log(features.log_floor)),
        )

    def push(self, mel: Frames) -> Frames:
        """Append frames (n_mels, F); returns those that are finished (n_mels, F')."""
        return self._bands_first(self._filter.push(np.ascontiguousarray(mel, dtype=np.float32)))

    def flush(self) -> Frames:
        """End the stream: returns the rest (n_mels, F')."""
        return self._bands_first(self._filter.flush())

    def _bands_first(self, frames: Frames) -> Frames:
        return np.ascontiguousarray(frames.T) if self._transposed else frames


def sharpened(mel: Tensor, config: ContrastConfig, features: FeatureConfig) -> Tensor:
    """A whole log-mel (n_mels, F) with more contrast, of the same shape."""
    contrast = SpectralContrast(config, features)
    parts = contrast.push(mel.numpy()), contrast.flush()
    return torch.from_numpy(np.concatenate(parts, axis=1))
