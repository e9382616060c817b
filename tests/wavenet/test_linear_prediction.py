import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import torch
from tolerances import PREDICTION, assert_close

from vocoder.config import FeatureConfig, LinearPredictionConfig
from vocoder.features.mel import log_mel
from vocoder.native import library as native
from vocoder.wavenet.linear_prediction import (
    levinson_durbin,
    predict,
    predict_from_mel,
    reference_levinson_durbin,
    reference_predict_from_mel,
)

FEATURES = FeatureConfig()
LONG = LinearPredictionConfig(order=256, lag_window_hz=4.0)
INSTRUCTION_SETS = native.load().instruction_sets()


def random_mel(frames: int, rows: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(rows, FEATURES.n_mels, frames, generator=generator) * 2 - 10


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
    shift = predict(audio, prediction.coefficients[:, :, 0], config.hop_length)
    gain = prediction.gain[..., 0].repeat_interleave(config.hop_length, dim=1)
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


@pytest.mark.parametrize("order", [256, 16, 1])
@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
def test_native_code_equals_the_definition(
    order: int, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    config = LONG.model_copy(update={"order": order})
    mel = random_mel(21, rows=2)
    found = predict_from_mel(mel, FEATURES, config)
    expected = reference_predict_from_mel(mel, FEATURES, config)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, PREDICTION)
        with pytest.raises(AssertionError, match="differs"):
            assert_close(one.roll(1, 1), other, PREDICTION)


@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
def test_a_frame_does_not_depend_on_its_neighbours(
    instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    mel = random_mel(20)
    whole = predict_from_mel(mel, FEATURES, LONG)
    for first, last in ((0, 1), (3, 12), (19, 20)):
        part = predict_from_mel(mel[..., first:last], FEATURES, LONG)
        for one, other in zip(part, whole, strict=True):
            assert torch.equal(one, other[:, first:last])
    lags = torch.rand(20, 33, dtype=torch.float64)
    lags[:, 0] = 20.0
    together = levinson_durbin(lags)
    for frame in (0, 7, 19):
        for one, other in zip(levinson_durbin(lags[frame]), together, strict=True):
            assert torch.equal(one, other[frame])


@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
def test_native_recursion_equals_the_definition(
    instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    for order in (1, 2, 3, 64):
        lags = torch.rand(2, 3, order + 1, dtype=torch.float64)
        lags[..., 0] = order + 1.0
        found, expected = levinson_durbin(lags), reference_levinson_durbin(lags)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, 1e-12)


def test_other_transforms_and_types_work_without_native_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = FEATURES.model_copy(update={"n_fft": 1100, "win_length": 1100})
    found = predict_from_mel(random_mel(2), features, LinearPredictionConfig())
    assert all(part.isfinite().all() for part in found)
    single = torch.tensor([[2.0, 0.5, 0.1]])
    assert levinson_durbin(single)[0].dtype == torch.float32
    expected = reference_predict_from_mel(random_mel(2), FEATURES, LONG)
    monkeypatch.setattr(native, "find", lambda: None)
    for one, other in zip(predict_from_mel(random_mel(2), FEATURES, LONG), expected, strict=True):
        assert torch.equal(one, other)


def test_a_mel_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mel must be float32 \(80, 4\)"):
        predict_from_mel(torch.zeros(1, 79, 4), FEATURES, LONG)
