import numpy as np
import pytest
import torch
import torchaudio
from conftest import ASSETS

from vocoder.audio import io as audio
from vocoder.audio.io import Samples
from vocoder.config import FeatureConfig
from vocoder.evaluation.griffin_lim import Inversion, griffin_lim, magnitudes
from vocoder.features import feature_file as features
from vocoder.features.feature_file import Features
from vocoder.features.mel import mel_filterbank

CONFIG = FeatureConfig()


@pytest.fixture(scope="module")
def speech() -> Samples:
    samples = audio.read(ASSETS / "speech" / "bdl_arctic_a0090.flac", CONFIG.sample_rate_hz)[0]
    return samples[: len(samples) // CONFIG.hop_length * CONFIG.hop_length]


@pytest.fixture(scope="module")
def analysis(speech: Samples) -> Features:
    return features.analyze(speech, CONFIG, with_f0=False)


@pytest.fixture(scope="module")
def strong(analysis: Features) -> Samples:
    return griffin_lim(analysis, inversion="positive")


@pytest.fixture(scope="module")
def copy(analysis: Features) -> Samples:
    return griffin_lim(analysis)


def mel_error_db(samples: Samples, analysis: Features) -> float:
    found = features.log_mel(torch.from_numpy(samples), CONFIG)
    return float((found - analysis.mel).abs().mean()) * 10 / np.log(10)


def test_length_is_frames_times_hop(analysis: Features, copy: Samples) -> None:
    assert copy.dtype == np.float32
    assert copy.shape == (analysis.frames * CONFIG.hop_length,)


@pytest.mark.parametrize("which", ["copy", "strong"])
def test_the_copy_is_aligned_to_two_milliseconds(
    speech: Samples, which: str, request: pytest.FixtureRequest
) -> None:
    """A small shift of the copy moves its mels away from the recording's, half a hop much more."""
    recording, copied = speech, request.getfixturevalue(which)
    analysis = features.analyze(recording[200:-200], CONFIG, with_f0=False)
    lags = range(-100, 101, 10)
    errors = [mel_error_db(copied[200 + lag : len(copied) - 200 + lag], analysis) for lag in lags]
    assert abs(lags[int(np.argmin(errors))]) <= 0.002 * CONFIG.sample_rate_hz
    assert min(errors[0], errors[-1]) > 1.2 * min(errors)


def test_the_copies_nearly_reproduce_the_mels(
    analysis: Features, copy: Samples, strong: Samples
) -> None:
    assert mel_error_db(copy, analysis) < 2.5
    assert mel_error_db(strong, analysis) < 1.5


def test_iterations_help(analysis: Features, copy: Samples) -> None:
    few = griffin_lim(analysis, iterations=2)
    assert mel_error_db(copy, analysis) < mel_error_db(few, analysis) - 0.5


def test_it_is_as_good_as_torchaudio(analysis: Features, copy: Samples) -> None:
    """Same magnitudes and momentum; torchaudio centres frames on hops, so cut half a hop."""
    target = torch.nn.functional.pad(magnitudes(analysis.mel, CONFIG, "least_squares"), (1, 1))
    theirs = torchaudio.functional.griffinlim(
        target, torch.hann_window(1024), 1024, 200, 1024, 1.0, 60, 0.99, None, True
    )
    half = CONFIG.hop_length // 2
    error = mel_error_db(theirs[half : half + len(copy)].numpy(), analysis)
    assert mel_error_db(copy, analysis) < error + 0.1


def test_the_result_depends_only_on_the_seed(analysis: Features, copy: Samples) -> None:
    state = torch.get_rng_state()
    np.testing.assert_array_equal(copy, griffin_lim(analysis))
    assert not np.array_equal(copy, griffin_lim(analysis, seed=1))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("inversion", "error"), [("least_squares", 0.5), ("positive", 0.01)])
def test_magnitudes_reproduce_the_mel(
    analysis: Features, inversion: Inversion, error: float
) -> None:
    window = torch.hann_window(CONFIG.win_length).square().sum()
    power = magnitudes(analysis.mel, CONFIG, inversion).square() / window
    mel = (mel_filterbank(CONFIG).T @ power).clamp_min(CONFIG.log_floor)
    assert float((mel.log() - analysis.mel).abs().mean()) < error


@pytest.mark.parametrize(
    "config",
    [
        FeatureConfig(
            sample_rate_hz=8000,
            n_fft=256,
            win_length=200,
            hop_length=60,
            n_mels=20,
            f_max_hz=4000.0,
        ),
        FeatureConfig(n_fft=1023, win_length=1023, hop_length=201),
    ],
)
@pytest.mark.parametrize("frames", [1, 2, 9])
@pytest.mark.parametrize("inversion", ["least_squares", "positive"])
def test_other_shapes(config: FeatureConfig, frames: int, inversion: Inversion) -> None:
    mel = torch.full((config.n_mels, frames), -5.0)
    copy = griffin_lim(Features(mel, config), inversion=inversion, iterations=3)
    assert copy.shape == (frames * config.hop_length,)
    assert np.isfinite(copy).all()


def test_silence_stays_silent() -> None:
    mel = torch.full((CONFIG.n_mels, 4), float(np.log(CONFIG.log_floor)))
    assert np.abs(griffin_lim(Features(mel, CONFIG), iterations=5)).max() < 1e-3
