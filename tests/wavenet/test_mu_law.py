import torch

from vocoder.wavenet.mu_law import CLASSES, SILENCE, decode, encode


def test_every_code_survives_the_round_trip() -> None:
    codes = torch.arange(CLASSES)
    assert torch.equal(encode(decode(codes)), codes)


def test_silence_is_code_128() -> None:
    assert encode(torch.zeros(1)).item() == SILENCE == 128
    assert abs(decode(torch.tensor([SILENCE])).item()) < 1e-4


def test_samples_beyond_full_scale_are_clipped_and_the_curve_rises() -> None:
    audio = torch.linspace(-1.5, 1.5, 1001)
    codes = encode(audio)
    assert codes.min() == 0
    assert codes.max() == 255
    assert (codes.diff() >= 0).all()


def test_relative_error_is_small_for_loud_and_quiet_samples() -> None:
    audio = torch.logspace(-3, 0, 100)
    error = (decode(encode(audio)) - audio).abs()
    assert (error <= 0.025 * audio + 1e-4).all()
