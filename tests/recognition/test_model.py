"""The recogniser: the context of each part, and the equality of its two input paths."""

import pytest
import torch
from torch import Tensor

from vocoder.config import (
    ConditioningConfig,
    DistributionConfig,
    LogisticsConfig,
    ModelConfig,
    MuLawConfig,
    StackConfig,
)
from vocoder.presets import preset
from vocoder.recognition.model import PhonemeRecogniser, RecogniserConfig
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.modules import CausalConv1d

POOL = 40
MU_LAW = MuLawConfig()
STACK = StackConfig(
    cycles=2, layers_per_cycle=3, residual_channels=8, gate_channels=16, skip_channels=12
)


def configuration(distribution: DistributionConfig = MU_LAW, **changes: object) -> RecogniserConfig:
    wavenet = ModelConfig(
        stack=STACK,
        distribution=distribution,
        conditioning=ConditioningConfig(kind="none", channels=1, upsample=(1,)),
    )
    settings = {
        "wavenet": wavenet,
        "pool": POOL,
        "channels": 10,
        "layers": 2,
        "kernel_size": 3,
        "labels": ("sil", "a", "b"),
    }
    return RecogniserConfig(**(settings | changes))


def recogniser(distribution: DistributionConfig = MU_LAW) -> PhonemeRecogniser:
    torch.manual_seed(0)
    model = PhonemeRecogniser(configuration(distribution)).eval()
    torch.nn.init.normal_(model.wavenet.output.weight, std=0.3)
    return model


@pytest.fixture(params=[MU_LAW, LogisticsConfig(components=2)], ids=["mu_law", "logistics"])
def model(request: pytest.FixtureRequest) -> PhonemeRecogniser:
    return recogniser(request.param)


def noise(frames: int, rows: int = 1, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(rows, frames * POOL, generator=generator)


def reaches(before: Tensor, after: Tensor) -> list[int]:
    """The times at which two sequences (1, T, C) or (1, T) differ."""
    differs = (before - after).abs()[0] > 1e-6
    return torch.nonzero(differs if differs.ndim == 1 else differs.any(1)).flatten().tolist()


def test_lookup_equals_the_product_with_one_hot_codes() -> None:
    torch.manual_seed(0)
    for kernel, dilation, length in ((2, 1, 9), (3, 2, 9), (3, 4, 5), (2, 8, 3)):
        conv = CausalConv1d(11, 6, kernel, dilation)
        codes = torch.randint(0, 11, (2, length))
        expected = conv(torch.nn.functional.one_hot(codes, 11).float())
        assert torch.allclose(conv.of_codes(codes), expected, atol=1e-6)
        assert not torch.allclose(conv.of_codes((codes + 1) % 11), expected, atol=1e-2)


def test_its_likelihood_is_that_of_the_wavenet(model: PhonemeRecogniser) -> None:
    """An ordinary unconditional forward of the same weights gives the same likelihood."""
    wavenet, audio = model.wavenet, noise(10)
    blocks = audio.shape[1] // wavenet.config.hold
    nothing = Conditioning(torch.zeros(1, blocks, 1), torch.ones(1, 1), None, torch.zeros(1).long())
    with torch.inference_mode():
        assert torch.allclose(model(audio).nll, wavenet.nll(audio, nothing), atol=1e-5)


def test_the_wavenet_below_does_not_see_the_future_and_the_layers_above_do(
    model: PhonemeRecogniser,
) -> None:
    audio, at = noise(12), 6 * POOL + 7
    changed = audio.clone()
    changed[0, at] += 0.2
    with torch.inference_mode():
        skips = [model.skips(model.wavenet.signal(a, None)) for a in (audio, changed)]
        heard = [model(a) for a in (audio, changed)]
        pooled = [model.pooled(s) for s in skips]
    field = model.config.wavenet.receptive_field
    times = reaches(*skips)
    assert times[0] == at + 1
    assert times[-1] <= at + field
    assert reaches(heard[0].nll, heard[1].nll)[0] == at
    frames = reaches(*pooled)
    assert frames[0] == 6
    assert frames[-1] <= 6 + model.config.warm_up
    margin = model.config.margin
    assert margin == 2
    labelled = reaches(heard[0].logits, heard[1].logits)
    assert labelled[0] == 6 - margin
    assert labelled[-1] == frames[-1] + margin


def test_padding_has_no_influence(model: PhonemeRecogniser) -> None:
    audio = noise(9)
    padded = torch.cat((audio, noise(4, seed=2)), 1)
    mask = torch.cat((torch.ones(1, 9), torch.zeros(1, 4)), 1)
    with torch.inference_mode():
        alone = model(audio).logits
        assert torch.allclose(model(padded, mask).logits[:, :9], alone, atol=1e-5)
        assert not torch.allclose(model(padded).logits[:, :9], alone, atol=1e-3)


def test_part_of_the_samples_can_be_predicted(model: PhonemeRecogniser) -> None:
    audio = noise(8, rows=2)
    with torch.inference_mode():
        whole, part = model(audio), model(audio, predicted=slice(50, 130))
        assert torch.equal(whole.logits, part.logits)
        assert torch.allclose(whole.nll[:, 50:130], part.nll, atol=1e-5)
        assert torch.allclose(model.logits(audio), whole.logits, atol=1e-5)


def test_pooling_is_the_mean_of_the_rectified_skips() -> None:
    model = recogniser()
    skips = torch.randn(1, 3 * POOL, STACK.skip_channels)
    expected = [skips[0, i * POOL : (i + 1) * POOL].relu().mean(0) for i in range(3)]
    assert torch.allclose(model.pooled(skips)[0], torch.stack(expected), atol=1e-6)


def test_inconsistent_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        configuration(kernel_size=4)
    with pytest.raises(ValueError, match="must be 'none'"):
        configuration(wavenet=preset("tiny"))
    unconditional = configuration().wavenet
    with pytest.raises(ValueError, match="one speaker"):
        configuration(wavenet=unconditional.model_copy(update={"speakers": ("ann", "ben")}))
