import pytest
import torch
from conftest import CONFIGS, random_mel, random_model
from tolerances import NATIVE_CONDITIONING, assert_close

from vocoder.native import library as native
from vocoder.presets import PRESETS
from vocoder.wavenet.model import WaveNet

FRAMES = 6


def forward(model: WaveNet, audio: torch.Tensor) -> torch.Tensor:
    rows, count = audio.shape[0], model.config.global_channels
    mel = random_mel(model.config, rows, FRAMES)
    with torch.inference_mode():
        return model(audio, model.condition(mel, torch.eye(count)[torch.arange(rows) % count]))


def first_speaker(model: WaveNet) -> torch.Tensor:
    return torch.eye(model.config.global_channels)[:1]


def noise(model: WaveNet, rows: int = 1) -> torch.Tensor:
    samples = FRAMES * model.config.features.hop_length
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(1)) * 0.1


def test_a_changed_sample_leaves_outputs_up_to_it_unchanged(model: WaveNet) -> None:
    audio = noise(model)
    before = forward(model, audio)
    for t in (0, 1, 17, audio.shape[1] - 2):
        changed = audio.clone()
        changed[:, t] = 0.5
        after = forward(model, changed)
        assert torch.equal(after[:, : t + 1], before[:, : t + 1])
        assert not torch.equal(after[:, t + 1], before[:, t + 1])


@pytest.mark.parametrize("name", ["mu_law", "logistics", "odd"])
def test_a_sample_is_forgotten_after_the_receptive_field(name: str) -> None:
    model = random_model(CONFIGS[name])
    with torch.no_grad():
        for block in model.stack.blocks:
            block.dilated.linear.weight *= 2  # otherwise rounding hides the smallest contributions
    audio = noise(model)
    changed = audio.clone()
    changed[:, 3] = 0.9
    differs = (forward(model, audio) != forward(model, changed)).any(-1)[0].nonzero()
    assert differs.min() == 4
    assert differs.max() <= 3 + model.config.receptive_field
    if model.config.stack.kernel_size == 2:
        assert differs.max() == 3 + model.config.receptive_field


def test_conditioning_and_speaker_reach_the_output(model: WaveNet) -> None:
    audio = noise(model)
    mel = random_mel(model.config, 1, FRAMES)
    with torch.inference_mode():
        base = model(audio, model.condition(mel, first_speaker(model)))
        other_speaker = model(
            audio, model.condition(mel, torch.eye(model.config.global_channels)[1:2])
        )
        other_mel = model(audio, model.condition(mel + 0.5, first_speaker(model)))
    assert not torch.allclose(base, other_speaker)
    assert torch.allclose(base, other_mel) == (model.config.conditioning.kind == "none")


def test_conditioning_of_an_excerpt_is_the_excerpt_of_the_conditioning(model: WaveNet) -> None:
    margin = model.config.conditioning.margin
    per_frame = model.config.features.hop_length // model.config.hold
    mel = random_mel(model.config, 1, 2 * margin + 9)
    speaker = first_speaker(model)
    whole = model.condition(mel, speaker)
    cut = model.condition_margined(mel[..., 1 : 2 * margin + 8], speaker)
    first, count = (margin + 1) * per_frame, 7 * per_frame
    assert cut.blocks == count
    assert torch.allclose(cut.local, whole.local[:, first : first + count], atol=1e-6)
    if whole.prediction is not None and cut.prediction is not None:
        for one, other in zip(cut.prediction, whole.prediction, strict=True):
            assert torch.allclose(one, other[:, first : first + count], atol=1e-5)


@pytest.mark.parametrize("instructions", native.load().instruction_sets())
def test_native_conditioning_equals_the_definition_frame_by_frame(
    model: WaveNet, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    if model.config.conditioning.kind == "none":
        return  # There is nothing to compute.
    conditioning, margin = model.conditioning, model.config.conditioning.margin
    mel = random_mel(model.config, 2, 2 * margin + 41)
    expected = conditioning(mel)
    with torch.no_grad():
        found = conditioning(mel)
        assert_close(found, expected.detach(), NATIVE_CONDITIONING)
        with pytest.raises(AssertionError, match="differs"):
            assert_close(found.roll(1, 1), expected.detach(), NATIVE_CONDITIONING)
        if len(model.config.conditioning.upsample) > 1:
            return
        per_frame = model.config.features.hop_length // model.config.hold
        for first, last in ((0, 1), (5, 38), (40, 41)):
            part = conditioning(mel[..., first : last + 2 * margin])
            assert torch.equal(part, found[:, first * per_frame : last * per_frame])


def test_nll_is_minus_the_log_probability(model: WaveNet) -> None:
    audio = noise(model)
    conditioning = model.condition(random_mel(model.config, 1, FRAMES), first_speaker(model))
    nats = model.nll(audio, conditioning)
    assert nats.shape == audio.shape
    assert nats.isfinite().all()
    if model.config.distribution.kind == "mu_law":
        codes = model.signal(audio, None).codes
        chosen = model(audio, conditioning).softmax(-1).gather(-1, codes.unsqueeze(-1))
        assert torch.allclose(nats, -chosen.squeeze(-1).log(), atol=1e-5)


def test_audio_beyond_the_conditioning_is_refused(model: WaveNet) -> None:
    conditioning = model.condition(random_mel(model.config, 1, 1), first_speaker(model))
    with pytest.raises(ValueError, match="covers"):
        model(torch.zeros(1, model.config.features.hop_length + 1), conditioning)


@pytest.mark.parametrize(
    ("name", "layers", "receptive_field"),
    [("tiny", 6, 15), ("small", 20, 2047), ("standard", 30, 3070), ("large", 30, 3070)],
)
def test_presets_have_the_published_receptive_fields(
    name: str, layers: int, receptive_field: int
) -> None:
    stack = PRESETS[name].stack
    assert (stack.layers, stack.receptive_field) == (layers, receptive_field)
