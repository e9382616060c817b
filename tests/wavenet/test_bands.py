"""Models with a filter bank: settings, prediction in each band, causality and likelihood."""

import json
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from conftest import BANDED, CONFIGS, random_mel, random_model
from pydantic import ValidationError

from vocoder.config import FeatureConfig, LinearPredictionConfig, ModelConfig
from vocoder.features.mel import log_mel
from vocoder.wavenet.filter_bank import analyse, delay, lookahead
from vocoder.wavenet.linear_prediction import predict, predict_from_mel
from vocoder.wavenet.model import WaveNet


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distribution": {"kind": "mu_law"}, "linear_prediction": None}, "bands 4 need"),
        ({"linear_prediction": None, "pre_emphasis": 0.85}, "set pre_emphasis to 0"),
        ({"bands": 3}, "Input should be 1, 2, 4 or 8"),
        ({"conditioning": {"upsample": [100]}}, "bands 4 must divide the hold, 2 samples"),
        (
            {"features": {"hop_length": 200}, "bands": 8, "conditioning": {"upsample": [50]}},
            "bands 8 must divide the hold, 4 samples",
        ),
    ],
)
def test_settings_that_do_not_fit_bands_are_refused(change: dict[str, Any], message: str) -> None:
    data = BANDED["bands_4"].model_dump(mode="json") | change
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate_json(json.dumps(data))


def test_one_band_is_the_model_without_bands() -> None:
    for config in CONFIGS.values():
        torch.manual_seed(0)
        plain = WaveNet(config).state_dict()
        assert plain["output.weight"].shape == (
            config.distribution.parameters,
            config.stack.skip_channels,
        )
    audio = torch.randn(2, 40)
    assert torch.equal(analyse(audio, 1), audio)


@pytest.mark.parametrize("bands", [2, 4, 8])
def test_a_band_of_an_autoregressive_process_is_whitened_to_unit_excitation(bands: int) -> None:
    config, samples = FeatureConfig(), 200 * 160
    poles = 0.95 * np.exp(2j * np.pi * np.array([500, 1500, 2500]) / config.sample_rate_hz)
    denominator = np.poly(np.concatenate((poles, poles.conj()))).real
    noise = np.random.default_rng(0).standard_normal(samples) * 1e-3
    audio = torch.from_numpy(scipy.signal.lfilter([1.0], denominator, noise)).float()[None]
    prediction = predict_from_mel(
        log_mel(audio, config), config, LinearPredictionConfig(order=16), bands
    )
    assert prediction.coefficients.shape == (1, 160, bands, 16)
    hold = config.hop_length // bands
    split = analyse(audio, bands).unflatten(1, (-1, bands))
    for band in range(bands):
        own = split[..., band].contiguous()
        shift = predict(own, prediction.coefficients[:, :, band], hold)
        gain, level = (
            part[..., band].repeat_interleave(hold, dim=1)
            for part in (prediction.gain, prediction.level)
        )
        inner = slice(2000 // bands, -2000 // bands)
        # Mel bands blur the spectrum, so both are estimates.
        assert 0.5 < ((own - shift) / gain)[:, inner].std() < 1.3
        assert 0.7 < (own / level)[:, inner].std() < 1.4
    # The lowest band has the peaks, so its prediction gains most.
    shift = predict(split[..., 0].contiguous(), prediction.coefficients[:, :, 0], hold)
    assert (split[..., 0] - shift).std() < 0.85 * split[..., 0].std()


@pytest.fixture(params=BANDED)
def model(request: pytest.FixtureRequest) -> WaveNet:
    return random_model(BANDED[request.param])


def test_outputs_depend_on_the_audio_before_their_step_and_the_filters_lookahead(
    model: WaveNet,
) -> None:
    frames, bands = 3, model.config.bands
    mel = random_mel(model.config, 1, frames)
    speaker = torch.eye(model.config.global_channels)[:1]
    audio = torch.randn(1, frames * 200, generator=torch.Generator().manual_seed(1)) * 0.1
    changed = audio.clone()
    at = 320
    changed[:, at] += 0.5
    with torch.inference_mode():
        before, after = (model(each, model.condition(mel, speaker)) for each in (audio, changed))
    # Band samples from this step on are different, so outputs from the next step on.
    first = (at - lookahead(bands)) // bands * bands + bands
    assert torch.equal(after[:, :first], before[:, :first])
    assert not torch.equal(
        after[:, first : first + delay(bands)], before[:, first : first + delay(bands)]
    )


def test_the_likelihood_is_of_each_band_sample(model: WaveNet) -> None:
    mel = random_mel(model.config, 2, 3)
    speaker = torch.eye(model.config.global_channels)[:2]
    audio = torch.randn(2, 600, generator=torch.Generator().manual_seed(1)) * 0.1
    nats = model.nll(audio, model.condition(mel, speaker))
    assert nats.shape == audio.shape
    assert nats.isfinite().all()
    nats.mean().backward()
    assert all(p.grad is not None for n, p in model.named_parameters() if "stack.blocks" in n)


def test_a_new_model_expects_the_same_spread_in_each_band() -> None:
    torch.manual_seed(0)
    model = WaveNet(BANDED["bands_4"])
    bias = model.output.bias.detach().view(4, 3, 5)
    assert (bias == bias[:1]).all()
    assert bias[0, 1].tolist() == torch.linspace(-1, 1, 5).tolist()
    assert (bias[0, 2] == -1).all()
