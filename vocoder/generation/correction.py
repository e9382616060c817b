"""Spectral correction: hold what was generated to the mel it was asked for.

Free-running sampling drifts from the band energies of its conditioning. Because the mel of any
audio is known exactly, that drift can be measured and undone: the gain that each band lacks,
``sqrt(mel_asked / mel_found)``, filters the short-time spectrum of the generated audio, phases
untouched, and overlapping frames are added up (the magnitude projection of Griffin and Lim 1984,
begun from the WaveNet's phases instead of random ones). Passes may follow each other.

It runs on the stream as it is generated. Each frame is worked on alone, so the audio does not
depend on how it was cut into chunks. A pass delays by half a window and one hop.
"""

import numpy as np
import numpy.typing as npt

from vocoder.audio import Samples
from vocoder.config import FeatureConfig
from vocoder.features import mel_filterbank
from vocoder.wavenet.linear_prediction import spectrum_matrix

Frames = npt.NDArray[np.float32]


class SpectralCorrection:
    """One pass over one stream.

    The stream is held in a buffer whose first sample is the start of the next frame's window.
    """

    def __init__(self, mel: Frames, config: FeatureConfig, limit_db: float) -> None:
        """Correct towards ``mel``.

        Args:
            mel: log-mel of the whole stream (n_mels, F).
            config: what it was made with.
            limit_db: largest gain or loss of a band.
        """
        self._mel = np.ascontiguousarray(mel.T)
        self._config = config
        self._limit = limit_db / 20 * np.log(10.0)
        self._bank = np.ascontiguousarray(mel_filterbank(config).double().numpy())
        self._spread = np.ascontiguousarray(spectrum_matrix(config).numpy())
        window = np.hanning(config.win_length + 1)[:-1]
        side = (config.n_fft - config.win_length) // 2
        self._window = np.pad(window, (side, config.n_fft - config.win_length - side))
        self._energy = np.square(window).sum()
        before = (config.n_fft - config.hop_length) // 2
        self._before = before
        self._frame = 0
        self._input = np.zeros(before)
        self._sum = np.zeros(config.n_fft)
        self._weight = np.zeros(config.n_fft)
        self._skip = before

    def push(self, samples: Samples) -> Samples:
        """Take the next samples of the stream (T,); returns those that are finished (T',)."""
        self._input = np.concatenate((self._input, samples))
        return self._run()

    def flush(self) -> Samples:
        """End the stream: returns the samples that were still held back."""
        total = len(self._mel) * self._config.hop_length
        done = self._frame * self._config.hop_length - self._before + self._skip
        self._input = np.concatenate((self._input, np.zeros(self._config.n_fft)))
        rest = np.concatenate((self._run(), self._finish(self._config.n_fft)))
        return rest[: total - max(0, done)]

    def _run(self) -> Samples:
        finished = []
        while len(self._input) >= self._config.n_fft and self._frame < len(self._mel):
            self._correct(self._input[: self._config.n_fft], self._mel[self._frame])
            finished.append(self._finish(self._config.hop_length))
            self._input = self._input[self._config.hop_length :]
            self._frame += 1
        return np.concatenate(finished) if finished else np.zeros(0, dtype=np.float32)

    def _correct(self, frame: npt.NDArray[np.float64], asked: Frames) -> None:
        """Add the corrected frame to the sum."""
        spectrum = np.fft.rfft(frame * self._window)
        power = np.square(np.abs(spectrum)) / self._energy
        found = np.log(np.maximum(power @ self._bank, self._config.log_floor))
        gain = np.clip((asked - found) / 2, -self._limit, self._limit)
        corrected = np.fft.irfft(spectrum * np.exp(gain @ self._spread), self._config.n_fft)
        self._sum += corrected * self._window
        self._weight += np.square(self._window)

    def _finish(self, count: int) -> Samples:
        """Take the first ``count`` samples of the sum, which no later frame reaches."""
        done = self._sum[:count] / np.maximum(self._weight[:count], 1e-3)
        self._sum = np.concatenate((self._sum[count:], np.zeros(count)))
        self._weight = np.concatenate((self._weight[count:], np.zeros(count)))
        done, self._skip = done[self._skip :], max(0, self._skip - count)
        return done.astype(np.float32)


class CorrectionChain:
    """Several passes, one after the other; none of them where ``passes`` is 0."""

    def __init__(self, mel: Frames, config: FeatureConfig, passes: int, limit_db: float) -> None:
        """See :class:`SpectralCorrection`."""
        self._passes = [SpectralCorrection(mel, config, limit_db) for _ in range(passes)]

    @staticmethod
    def samples_before_audio(config: FeatureConfig, passes: int) -> int:
        """Samples that must have been pushed for the first one to be finished."""
        hop, before = config.hop_length, (config.n_fft - config.hop_length) // 2
        frames_of_window = before // hop
        samples = 1
        for _ in range(passes):
            # A pass finishes a hop a frame, the first of them in part.
            frame = frames_of_window + max(
                0, -(-(samples - ((frames_of_window + 1) * hop - before)) // hop)
            )
            samples = frame * hop - before + config.n_fft
        return samples

    def push(self, samples: Samples) -> Samples:
        """Take the next samples (T,); returns those that are finished (T',)."""
        for correction in self._passes:
            samples = correction.push(samples)
        return samples

    def flush(self) -> Samples:
        """End the stream: returns what was still held back."""
        held = np.zeros(0, dtype=np.float32)
        for correction in self._passes:
            held = np.concatenate((correction.push(held), correction.flush()))
        return held
