import numpy as np
import scipy.linalg
import scipy.signal
import torch

from vocoder.config import FeatureConfig, LinearPredictionConfig
from vocoder.features import log_mel
from vocoder.wavenet.linear_prediction import levinson_durbin, predict, predict_from_mel


def test_levinson_durbin_solves_the_normal_equations() -> None:
    generator = np.random.default_rng(0)
    for order in (1, 5, 16):
        signal = generator.standard_normal(4000).cumsum() * 0.01 + generator.standard_normal(4000)
        lags = np.array([signal[: len(signal) - k] @ signal[k:] for k in range(order + 1)])
        expected = scipy.linalg.solve_toeplitz(lags[:-1], lags[1:])
        coefficients, error = levinson_durbin(torch.from_numpy(lags))
        assert np.allclose(coefficients.numpy(), expected, atol=1e-9)
        assert np.isclose(error.item(), lags[0] - expected @ lags[1:])


def test_the_prediction_uses_past_samples_only_and_each_block_its_own_coefficients() -> None:
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(2, 24, generator=generator)
    coefficients = torch.randn(2, 3, 5, generator=generator)
    found = predict(audio, coefficients, hold=8)
    for row in range(2):
        for t in range(24):
            past = [audio[row, t - 1 - i] if t - 1 - i >= 0 else 0.0 for i in range(5)]
            expected = sum(a * x for a, x in zip(coefficients[row, t // 8], past, strict=True))
            assert abs(found[row, t] - expected) < 1e-5


def test_mel_predictor_whitens_an_autoregressive_process_to_unit_excitation() -> None:
    config, samples = FeatureConfig(), 200 * 160
    poles = 0.9 * np.exp(2j * np.pi * np.array([500, 1500, 2500]) / config.sample_rate_hz)
    denominator = np.poly(np.concatenate((poles, poles.conj()))).real
    noise = np.random.default_rng(0).standard_normal(samples) * 1e-3
    audio = torch.from_numpy(scipy.signal.lfilter([1.0], denominator, noise)).float()[None]
    prediction = predict_from_mel(log_mel(audio, config), config, LinearPredictionConfig())
    shift = predict(audio, prediction.coefficients, config.hop_length)
    gain = prediction.gain.repeat_interleave(config.hop_length, dim=1)
    inner = slice(2000, -2000)
    error = (audio - shift)[:, inner]
    assert 10 * torch.log10(audio[:, inner].var() / error.var()) > 9
    # Bands blur the spectrum, so the gain is an upper estimate.
    assert 0.6 < (error / gain[:, inner]).std() < 1.2


def test_silence_gives_a_stable_predictor() -> None:
    config = FeatureConfig()
    mel = torch.full((1, config.n_mels, 3), np.log(config.log_floor), dtype=torch.float32)
    prediction = predict_from_mel(mel, config, LinearPredictionConfig())
    assert all(part.isfinite().all() for part in prediction)
    assert (prediction.gain > 0).all()
