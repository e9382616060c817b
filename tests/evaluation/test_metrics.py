import numpy as np
import pytest
from conftest import ASSETS

from vocoder.audio import io as audio
from vocoder.audio.io import Samples
from vocoder.evaluation import metrics
from vocoder.features import f0 as pitch
from vocoder.features.mel import mel_filterbank

RATE = 16000


@pytest.fixture(scope="module")
def speech() -> Samples:
    return audio.read(ASSETS / "speech" / "slt_arctic_a0090.flac", RATE)[0]


def noise(seconds: float = 2.0, seed: int = 0) -> Samples:
    generator = np.random.default_rng(seed)
    return (0.1 * generator.standard_normal(round(seconds * RATE))).astype(np.float32)


def with_noise(samples: Samples, ratio_db: float, seed: int = 0) -> Samples:
    added = noise(len(samples) / RATE, seed)
    scale = samples.std() / added.std() * 10 ** (-ratio_db / 20)
    return np.asarray(samples + scale * added, dtype=np.float32)


def buzz(f0_hz: float, cents: float = 0.0, seconds: float = 1.0) -> Samples:
    """Harmonics of a gliding F0 with silence at both ends."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(f0_hz * 2 ** (cents / 1200 + 0.2 * time)) / RATE
    wave = sum(np.sin(k * phase) / k for k in range(1, 15))
    return (0.1 * np.asarray(wave) * ((time > 0.2) & (time < seconds - 0.2))).astype(np.float32)


def test_the_distance_of_a_recording_to_itself_is_zero(speech: Samples) -> None:
    found = metrics.measure(speech, speech, RATE)
    assert found.stoi == pytest.approx(1.0, abs=1e-6)
    assert found.model_dump(exclude={"stoi"}) == {
        "mcd_db": 0.0,
        "log_spectral_distance_db": 0.0,
        "mel_spectral_distance_db": 0.0,
        "log_f0_rmse_cents": 0.0,
        "gross_pitch_error": 0.0,
        "voicing_error": 0.0,
    }


def test_every_metric_gets_worse_with_noise(speech: Samples) -> None:
    little, more = (metrics.measure(speech, with_noise(speech, db), RATE) for db in (30.0, 5.0))
    assert little.stoi is not None
    assert more.stoi is not None
    assert 0.98 < little.stoi < 1
    assert more.stoi < little.stoi - 0.02
    for name in ("mcd_db", "log_spectral_distance_db", "mel_spectral_distance_db", "voicing_error"):
        assert 0 < getattr(little, name) < getattr(more, name)


def test_a_gain_changes_spectral_distances_but_not_cepstral_distortion() -> None:
    first = noise()
    second = first * np.float32(10 ** (-6 / 20))
    assert metrics.log_spectral_distance(first, second, RATE) == pytest.approx(6.0, abs=1e-3)
    assert metrics.mel_spectral_distance(first, second, RATE) == pytest.approx(6.0, abs=1e-3)
    assert metrics.mel_cepstral_distortion(first, second, RATE) == pytest.approx(0.0, abs=1e-3)


def test_cepstral_distortion_of_a_known_filter() -> None:
    """White noise through 1 - a z^-1: the standard deviation of the response in dB over bands."""
    first = noise(4.0)
    second = first.copy()
    second[1:] -= np.float32(0.7) * first[:-1]
    config = metrics._analysis(RATE, metrics.CEPSTRUM_S, metrics.CEPSTRUM_HOP_S, 40)
    response = np.abs(1 - 0.7 * np.exp(-1j * np.pi * np.linspace(0, 1, config.n_fft // 2 + 1))) ** 2
    bank = mel_filterbank(config).numpy()
    decibels = 10 * np.log10(response @ bank / bank.sum(axis=0))
    found = metrics.mel_cepstral_distortion(first, second, RATE)
    assert found == pytest.approx(decibels.std(), rel=0.1)


RATES = [8000, 16000, 24000, 48000]


@pytest.mark.parametrize("rate", RATES)
def test_warping_forgives_tempo_and_nothing_else(rate: int) -> None:
    time = np.arange(rate) / rate
    glide = np.sin(2 * np.pi * (300 * time + 500 * time**2)).astype(np.float32)
    slow = np.arange(3 * rate // 2) / (3 * rate // 2)
    slower = np.sin(2 * np.pi * 1.5 * (300 * slow + 500 * slow**2)).astype(np.float32)
    noise = np.random.default_rng(0).standard_normal(rate).astype(np.float32)
    assert metrics.warped_mel_cepstral_distortion(glide, glide, rate) == pytest.approx(0, abs=1e-6)
    tempo, other = (
        metrics.warped_mel_cepstral_distortion(glide, one, rate) for one in (slower, noise)
    )
    assert tempo < 0.5 * other


@pytest.mark.parametrize("rate", RATES)
def test_warping_adds_no_distortion_at_any_rate(rate: int) -> None:
    """The diagonal is one of the paths, and the windows span several pitch periods."""
    time = np.arange(round(0.6 * rate)) / rate
    faint = 1e-3 * np.random.default_rng(0).standard_normal(len(time))
    first, second = (
        np.float32(0.1 * sum(np.sin(2 * np.pi * 100 * k * t) / k for k in range(1, 60)) + faint)
        for t in (time, time - 0.005)
    )
    plain = metrics.mel_cepstral_distortion(first, second, rate)
    assert 0 < metrics.warped_mel_cepstral_distortion(first, second, rate) <= plain < 0.5


def test_the_distance_of_two_noises_is_as_documented() -> None:
    first, second = noise(8.0, 1), noise(8.0, 2)
    assert metrics.log_spectral_distance(first, second, RATE) == pytest.approx(7.9, abs=0.1)
    assert metrics.mel_spectral_distance(first, second, RATE) == pytest.approx(3.4, abs=0.1)
    assert metrics.mel_cepstral_distortion(first, second, RATE) == pytest.approx(3.0, abs=0.1)


def test_noise_below_the_dynamic_range_does_not_count(speech: Samples) -> None:
    hiss = with_noise(speech, 70.0)
    assert metrics.log_spectral_distance(speech, hiss, RATE) < 0.1
    assert metrics.log_spectral_distance(speech, with_noise(speech, 20.0), RATE) > 3


@pytest.mark.parametrize("f0_hz", [90.0, 210.0])
def test_a_shift_of_f0_is_measured(f0_hz: float) -> None:
    first, second = buzz(f0_hz), buzz(f0_hz, cents=50.0)
    assert metrics.log_f0_rmse(first, second, RATE) == pytest.approx(50.0, abs=3)
    assert metrics.gross_pitch_error(first, second, RATE) == 0
    octave = buzz(f0_hz, cents=1200.0 if f0_hz < 100 else -1200.0)
    assert metrics.gross_pitch_error(first, octave, RATE) == pytest.approx(1.0, abs=0.1)


def test_f0_is_accurate() -> None:
    contour = pitch.contour(buzz(120.0), RATE)
    assert len(contour) == 80
    voiced = np.arange(20, 60)
    expected = 120.0 * 2 ** (0.2 * (voiced + 0.5) * pitch.HOP_S)
    assert np.abs(1200 * np.log2(contour[voiced] / expected)).max() < 15
    assert not contour[:12].any()
    assert not contour[-12:].any()


def test_voicing_error_is_a_fraction_of_frames() -> None:
    first = buzz(150.0)
    second = first.copy()
    second[len(second) // 2 :] = 0
    assert metrics.voicing_error(first, second, RATE) == pytest.approx(0.3, abs=0.05)


def test_silence_has_no_f0_and_no_stoi() -> None:
    silent = np.zeros(RATE // 4, dtype=np.float32)
    found = metrics.measure(silent, silent, RATE)
    assert found.log_f0_rmse_cents is None
    assert found.gross_pitch_error is None
    assert found.stoi is None
    assert found.voicing_error == 0
    assert found.log_spectral_distance_db == 0


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100])
def test_metrics_work_at_any_sample_rate(rate: int, speech: Samples) -> None:
    first = audio.resample(speech, RATE, rate)
    second = audio.resample(with_noise(speech, 10.0), RATE, rate)
    found = metrics.measure(first, second, rate)
    assert found.voicing_error < 0.3
    assert 2 < found.mel_spectral_distance_db < 20


def test_metrics_survive_json() -> None:
    silent = np.zeros(RATE // 4, dtype=np.float32)
    for found in (metrics.measure(silent, silent, RATE), metrics.measure(noise(), noise(), RATE)):
        assert metrics.Metrics.model_validate_json(found.model_dump_json()) == found
