"""Context stacks in the parallel forward: their receptive field and their start."""

import pytest
import torch
from conftest import CONFIGS, context, random_mel, random_model
from tolerances import STEP_AGAINST_PARALLEL, assert_close

from vocoder.config import ModelConfig
from vocoder.errors import ConfigError
from vocoder.presets import PRESETS
from vocoder.wavenet.model import Past, WaveNet

FRAMES = 9


@pytest.fixture(params=["contexts", "contexts_hold_1"])
def model(request: pytest.FixtureRequest) -> WaveNet:
    """Models with two context stacks of different rates."""
    return random_model(CONFIGS[request.param])


def speech_like(model: WaveNet) -> torch.Tensor:
    samples = FRAMES * model.config.features.hop_length
    return torch.randn(1, samples, generator=torch.Generator().manual_seed(3)) * 0.1


def forward(model: WaveNet, audio: torch.Tensor, first: int = 0, known: int = 0) -> torch.Tensor:
    """Parameters of the frames from ``first`` on, given ``known`` frames of past audio."""
    hop, margin = model.config.features.hop_length, model.config.conditioning.margin
    mel = random_mel(model.config, 1, FRAMES + 2 * margin)[..., first:]
    past = Past(audio[:, : first * hop], torch.tensor([known * hop])) if first else None
    speaker = torch.eye(model.config.global_channels)[:1]
    with torch.inference_mode():
        conditioning = model.condition_margined(mel, speaker)
        return model(audio[:, first * hop :], conditioning, past)


def test_they_reach_beyond_the_main_stack_and_exactly_their_receptive_field(
    model: WaveNet,
) -> None:
    audio = speech_like(model)
    changed = audio.clone()
    changed[:, 250] = 0.9
    differs = (forward(model, audio) != forward(model, changed)).any(-1)[0].nonzero()
    assert differs.min() == 251
    assert 250 + model.config.receptive_field < differs.max()
    longest = max(model.config.context_field, model.config.receptive_field)
    widest = max(c.pool for c in model.config.contexts)
    assert differs.max() < 250 + longest + model.config.receptive_field + widest


def test_a_crop_with_its_past_equals_the_whole(model: WaveNet) -> None:
    audio, hop = speech_like(model), model.config.features.hop_length
    whole = forward(model, audio)[:, 5 * hop :]
    part = forward(model, audio, first=5, known=5)
    # The main stack has no past in a crop: training excludes those samples.
    settled = model.config.receptive_field + 1
    assert_close(part[:, settled:], whole[:, settled:], STEP_AGAINST_PARALLEL)
    without = forward(model, audio[:, 5 * hop :].repeat(1, 2)[:, : audio.shape[1]])
    assert not torch.allclose(without[:, settled : 2 * hop], whole[:, settled : 2 * hop])


def test_padding_before_the_start_has_no_influence(model: WaveNet) -> None:
    """A crop at a recording's start, padded in front, equals generation's start."""
    audio, hop = speech_like(model), model.config.features.hop_length
    audio[:, : 3 * hop] = 0.0
    start = forward(model, audio, first=3, known=0)
    margin = model.config.conditioning.margin
    mel = random_mel(model.config, 1, FRAMES + 2 * margin)[..., 3:]
    speaker = torch.eye(model.config.global_channels)[:1]
    with torch.inference_mode():
        conditioning = model.condition_margined(mel, speaker)
        expected = model(audio[:, 3 * hop :], conditioning)
    assert_close(start, expected, STEP_AGAINST_PARALLEL)
    silence = forward(model, audio, first=3, known=3)
    assert not torch.allclose(silence, expected, atol=1e-6)


def test_gradients_reach_every_weight_of_every_stack(model: WaveNet) -> None:
    mel = random_mel(model.config, 1, FRAMES)
    speaker = torch.eye(model.config.global_channels)[:1]
    model.nll(speech_like(model), model.condition(mel, speaker)).mean().backward()
    for name, parameter in model.contexts.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_preset_with_contexts_reaches_beyond_two_seconds() -> None:
    config = PRESETS["standard-context"]
    assert config.context_field / config.features.sample_rate_hz > 2.0
    assert len({c.pool for c in config.contexts}) == 2


@pytest.mark.parametrize("pool", [30, 20])
def test_an_incompatible_rate_is_refused(pool: int) -> None:
    plain = ModelConfig().model_dump(mode="json")
    plain["contexts"] = [context(pool, layers=2).model_dump(mode="json")]
    with pytest.raises(ConfigError, match=f"pool {pool} must divide hop_length 200"):
        ModelConfig.parse(plain, "voice.json")
