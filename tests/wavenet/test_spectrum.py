"""The predicted spectrum of voices conditioned on linguistic features."""

import pytest
import torch
from torch import Tensor

from vocoder import presets
from vocoder.config import ConditioningConfig, LinearPredictionConfig, ModelConfig
from vocoder.features.f0 import LOG_F0_CENTRE
from vocoder.features.harmonics import DEPTH
from vocoder.features.mel import log_mel
from vocoder.text.linguistic import CHANNELS
from vocoder.wavenet.spectrum import EDGE_FRAMES, SpectrumPredictor

FRAMES = 30
LOW, HIGH = -0.5, 0.3


@pytest.fixture
def config() -> ModelConfig:
    tiny = presets.preset("tiny")
    conditioning = ConditioningConfig(kind="linguistic", linguistic_channels=CHANNELS)
    return tiny.model_copy(
        update={
            "conditioning": conditioning,
            "speakers": ("ann", "ben"),
            "linear_prediction": LinearPredictionConfig(order=64),
        }
    )


@pytest.fixture
def spectrum(config: ModelConfig) -> SpectrumPredictor:
    torch.manual_seed(0)
    return SpectrumPredictor(config).eval()


def features(config: ModelConfig, log_f0: float, voiced: float) -> Tensor:
    """Linguistic features with their margins (1, C, F + 2 margin)."""
    frames = FRAMES + 2 * config.conditioning.margin
    given = torch.rand(1, CHANNELS, frames, generator=torch.Generator().manual_seed(1))
    given[:, -2], given[:, -1] = log_f0, voiced
    return given


ANN, BEN = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])


@torch.no_grad()
def test_f0_moves_only_the_harmonics(config: ModelConfig, spectrum: SpectrumPredictor) -> None:
    low, high = (spectrum(features(config, f0, 1.0), ANN) for f0 in (LOW, HIGH))
    grid = torch.tensor([[LOW], [HIGH]]) + LOG_F0_CENTRE
    harmonics = spectrum.harmonics(grid)
    expected = DEPTH * (harmonics[0] - harmonics[1])
    prominence = (low - high)[0] / expected
    moved = expected.abs().squeeze() > 0.1
    assert moved.sum() > 20
    assert ((prominence[moved] > 0) & (prominence[moved] < 1)).all()
    still = expected.abs().squeeze() < 1e-6
    assert torch.allclose(low[0, still], high[0, still], atol=1e-5)


@torch.no_grad()
def test_f0_has_no_effect_on_unvoiced_frames(
    config: ModelConfig, spectrum: SpectrumPredictor
) -> None:
    low, high = (spectrum(features(config, f0, 0.0), ANN) for f0 in (LOW, HIGH))
    assert torch.equal(low, high)
    assert not torch.allclose(low, spectrum(features(config, LOW, 0.0), BEN))


@torch.no_grad()
def test_an_excerpt_is_predicted_like_within_the_whole(
    config: ModelConfig, spectrum: SpectrumPredictor
) -> None:
    whole = features(config, LOW, 1.0)
    margin = config.conditioning.margin
    part = spectrum(whole[..., 10 : 20 + 2 * margin], BEN)
    assert torch.allclose(spectrum(whole, BEN)[..., 10:20], part, atol=1e-5)


def test_only_frames_that_count_enter_the_error(
    config: ModelConfig, spectrum: SpectrumPredictor
) -> None:
    hop = config.features.hop_length
    audio = torch.randn(1, FRAMES * hop, generator=torch.Generator().manual_seed(2)) * 0.1
    mask = torch.ones(1, FRAMES * hop)
    mask[:, : 10 * hop] = 0.0
    right = log_mel(audio, config.features)
    assert spectrum.error(right, audio, mask, config) == 0.0
    wrong = right.clone()
    wrong[..., :10] += 1.0
    wrong[..., -EDGE_FRAMES:] += 1.0
    assert spectrum.error(wrong, audio, mask, config) == 0.0
    wrong[..., 15] += 1.0
    assert spectrum.error(wrong, audio, mask, config) == pytest.approx(hop, rel=1e-4)
