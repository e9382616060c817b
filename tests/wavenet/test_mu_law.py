import torch

from vocoder.wavenet.mu_law import CLASSES, SILENCE, mu_law_decode, mu_law_encode


def test_every_code_survives_the_round_trip() -> None:
    codes = torch.arange(CLASSES)
    assert torch.equal(mu_law_encode(mu_law_decode(codes)), codes)


def test_silence_is_code_128() -> None:
    assert mu_law_encode(torch.zeros(1)).item() == SILENCE == 128
    assert abs(mu_law_decode(torch.tensor([SILENCE])).item()) < 1e-4


def test_samples_beyond_full_scale_are_clipped_and_the_curve_rises() -> None:
    audio = torch.linspace(-1.5, 1.5, 1001)
    codes = mu_law_encode(audio)
    assert codes.min() == 0
    assert codes.max() == 255
    assert (codes.diff() >= 0).all()


def test_relative_error_is_small_for_loud_and_quiet_samples() -> None:
    audio = torch.logspace(-3, 0, 100)
    error = (mu_law_decode(mu_law_encode(audio)) - audio).abs()
    assert (error <= 0.025 * audio + 1e-4).all()
