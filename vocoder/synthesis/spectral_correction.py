"""Spectral correction: pull the generated audio back to its target mel.

Free-running sampling drifts away from the band energies of its conditioning. The mel of any audio
can be computed exactly, so the drift can be measured and undone: a gain for each band,
``sqrt(mel_target / mel_generated)``, filters the short-time spectrum of the generated audio with
its phases unchanged, and overlapping frames are added up (the magnitude projection of Griffin and
Lim 1984, started from the WaveNet's phases instead of random ones). Passes can be chained.

It runs on the stream while it is generated. Each frame is processed independently, so the audio
does not depend on how it was cut into chunks. Each pass adds a delay of half a window and one hop.

The NumPy code here is the definition. If the FFT length is a power of two, native code does the
same and releases the interpreter meanwhile.
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from vocoder.audio.io import Samples
from vocoder.config import FeatureConfig
from vocoder.features.mel import mel_filterbank
from vocoder.native import library as native
from vocoder.wavenet.linear_prediction import spectrum_matrix

Frames = npt.NDArray[np.float32]


class SpectralCorrection:
    """One pass over one stream.

    The input buffer starts with the first sample of the next frame's window.
    """

    def __init__(self, config: FeatureConfig, limit_db: float) -> None:
        """A pass over a stream whose target mel is yet to be given.

        Args:
            config: settings of the mel.
            limit_db: maximum gain or attenuation of a band.
        """
        self._mel: list[Frames] = []
        self._config = config
        self._limit = _limit(limit_db)
        self._bank = np.ascontiguousarray(mel_filterbank(config).double().numpy())
        self._spread = np.ascontiguousarray(spectrum_matrix(config).numpy())
        self._window = _window(config)
        self._energy = np.square(self._window).sum()
        before = (config.n_fft - config.hop_length) // 2
        self._before = before
        self._frame = 0
        self._input = np.zeros(before)
        self._sum = np.zeros(config.n_fft)
        self._weight = np.zeros(config.n_fft)
        self._skip = before

    def extend(self, mel: Frames) -> None:
        """Append frames (n_mels, F) to the target log-mel."""
        self._mel.extend(np.ascontiguousarray(mel.T))

    def push(self, samples: Samples) -> Samples:
        """Correct the next samples (T,); returns those that are finished (T',).

        Samples of frames whose target is not known yet are held back.
        """
        self._input = np.concatenate((self._input, samples))
        return self._run()

    def flush(self) -> Samples:
        """End the stream: returns the rest of the F * hop samples of the F known frames.

        Missing input samples count as silence.
        """
        total = len(self._mel) * self._config.hop_length
        done = self._frame * self._config.hop_length - self._before + self._skip
        missing = (len(self._mel) - self._frame) * self._config.hop_length + self._config.n_fft
        self._input = np.concatenate((self._input, np.zeros(missing)))
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

    def _correct(self, frame: npt.NDArray[np.float64], target: Frames) -> None:
        """Add the corrected frame to the sum."""
        spectrum = np.fft.rfft(frame * self._window)
        power = np.square(np.abs(spectrum)) / self._energy
        measured = np.log(np.maximum(power @ self._bank, self._config.log_floor))
        gain = np.clip((target - measured) / 2, -self._limit, self._limit)
        corrected = np.fft.irfft(spectrum * np.exp(gain @ self._spread), self._config.n_fft)
        self._sum += corrected * self._window
        self._weight += np.square(self._window)

    def _finish(self, count: int) -> Samples:
        """Remove the first ``count`` samples of the sum, which no later frame overlaps."""
        done = self._sum[:count] / np.maximum(self._weight[:count], 1e-3)
        self._sum = np.concatenate((self._sum[count:], np.zeros(count)))
        self._weight = np.concatenate((self._weight[count:], np.zeros(count)))
        done, self._skip = done[self._skip :], max(0, self._skip - count)
        return done.astype(np.float32)


class ReferenceChain:
    """:class:`CorrectionChain` in NumPy, for any FFT length."""

    def __init__(self, config: FeatureConfig, passes: int, limit_db: float) -> None:
        """See :class:`SpectralCorrection`."""
        self._passes = [SpectralCorrection(config, limit_db) for _ in range(passes)]

    def extend(self, mel: Frames) -> None:
        """See :meth:`CorrectionChain.extend`."""
        for correction in self._passes:
            correction.extend(mel)

    def push(self, samples: Samples) -> Samples:
        """See :meth:`CorrectionChain.push`."""
        for correction in self._passes:
            samples = correction.push(samples)
        return samples

    def flush(self) -> Samples:
        """See :meth:`CorrectionChain.flush`."""
        held = np.zeros(0, dtype=np.float32)
        for correction in self._passes:
            held = np.concatenate((correction.push(held), correction.flush()))
        return held


class CorrectionChain:
    """Several passes in a row, or none if ``passes`` is 0.

    Frames may be appended from another thread while samples are being pushed.
    """

    def __init__(self, config: FeatureConfig, passes: int, limit_db: float) -> None:
        """See :class:`SpectralCorrection`."""
        library = native.find() if native.transforms(config.n_fft) else None
        self._chain: Any
        if library is None:
            self._chain = ReferenceChain(config, passes, limit_db)
            return
        plan = _plan(config, native.instruction_set(library))
        self._chain = library.CorrectionChain(plan=plan, passes=passes, limit=_limit(limit_db))

    @staticmethod
    def samples_before_audio(config: FeatureConfig, passes: int) -> int:
        """Number of samples to push before the first one is finished."""
        hop, before = config.hop_length, (config.n_fft - config.hop_length) // 2
        frames_of_window = before // hop
        samples = 1
        for _ in range(passes):
            # A pass finishes one hop per frame, the first of them only in part.
            frame = frames_of_window + max(
                0, -(-(samples - ((frames_of_window + 1) * hop - before)) // hop)
            )
            samples = frame * hop - before + config.n_fft
        return samples

    def extend(self, mel: Frames) -> None:
        """Append frames (n_mels, F) to the target log-mel."""
        self._chain.extend(np.ascontiguousarray(mel, dtype=np.float32))

    def push(self, samples: Samples) -> Samples:
        """Correct the next samples (T,); returns those that are finished (T',).

        Samples of frames whose target is not known yet are held back.
        """
        finished: Samples = self._chain.push(np.ascontiguousarray(samples, dtype=np.float32))
        return finished

    def flush(self) -> Samples:
        """End the stream: returns the rest of the F * hop samples of the F known frames."""
        finished: Samples = self._chain.flush()
        return finished


def _limit(limit_db: float) -> float:
    """Decibels to the natural logarithm of a magnitude."""
    return float(limit_db / 20 * np.log(10.0))


def _window(config: FeatureConfig) -> npt.NDArray[np.float64]:
    """The analysis window, centred in the FFT's length (n_fft,)."""
    window = np.hanning(config.win_length + 1)[:-1]
    side = (config.n_fft - config.win_length) // 2
    return np.pad(window, (side, config.n_fft - config.win_length - side))


@functools.lru_cache(maxsize=16)
def _plan(config: FeatureConfig, instructions: str) -> Any:
    window = _window(config)
    return native.load().CorrectionPlan(
        n_fft=config.n_fft,
        hop=config.hop_length,
        filters=np.ascontiguousarray(mel_filterbank(config).double().numpy()),
        interpolation=np.ascontiguousarray(spectrum_matrix(config).numpy()),
        window=window,
        energy=float(np.square(window).sum()),
        log_floor=config.log_floor,
        instructions=instructions,
    )
