import pytest
import torch

from vocoder.generation.noise import philox, reference_uniforms, uniforms
from vocoder.native import library as native


def words(seed: int, counter: int) -> list[str]:
    return [f"{w:08x}" for w in philox(torch.tensor([seed]), torch.tensor([counter]))[0].tolist()]


def test_philox_gives_the_published_words() -> None:
    """Known answers of Philox4x32-10 from the Random123 distribution (Salmon et al. 2011)."""
    assert words(0, 0) == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def test_philox_equals_a_plain_integer_implementation() -> None:
    def plain(key: list[int], counter: list[int]) -> list[int]:
        for _ in range(10):
            p0, p1 = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
            counter = [
                (p1 >> 32) ^ counter[1] ^ key[0],
                p1 & 0xFFFFFFFF,
                (p0 >> 32) ^ counter[3] ^ key[1],
                p0 & 0xFFFFFFFF,
            ]
            key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
        return counter

    for seed, position in ((1, 2), (2**63 - 1, 2**40 + 3), (-1, 0), (123456789012345, 999)):
        bits = seed & (2**64 - 1)
        expected = plain(
            [bits & 0xFFFFFFFF, bits >> 32], [position & 0xFFFFFFFF, position >> 32, 0, 0]
        )
        assert philox(torch.tensor([seed]), torch.tensor([position]))[0].tolist() == expected


def test_a_range_of_noise_does_not_depend_on_its_start() -> None:
    seeds = torch.tensor([5, 6])
    whole = uniforms(seeds, torch.zeros(2, dtype=torch.int64), 100)
    later = uniforms(seeds, torch.tensor([10, 90]), 10)
    assert torch.equal(later[0], whole[0, 10:20])
    assert torch.equal(later[1], whole[1, 90:100])


def test_uniforms_are_open_even_and_independent_of_each_other() -> None:
    drawn = uniforms(torch.tensor([3]), torch.tensor([0]), 200_000)[0].double()
    assert drawn.min() > 0.0
    assert drawn.max() < 1.0
    assert ((drawn.mean(0) - 0.5).abs() < 0.003).all()
    assert ((drawn.var(0) - 1 / 12).abs() < 0.001).all()
    assert abs(torch.corrcoef(drawn.T)[0, 1]) < 0.01
    other = uniforms(torch.tensor([4]), torch.tensor([0]), 200_000)[0].double()
    assert abs(torch.corrcoef(torch.stack((drawn[:, 0], other[:, 0])))[0, 1]) < 0.01


@pytest.mark.parametrize("instructions", native.load().instruction_sets())
def test_native_code_gives_the_same_bits(
    instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    seeds = torch.tensor([0, 1, 2**63 - 1, -(2**63), 987654321987654321])
    positions = torch.tensor([0, 5, 2**32 - 3, 2**61, 160_000])
    for steps in (1, 2, 15, 16, 17, 33, 800):
        found, expected = (f(seeds, positions, steps) for f in (uniforms, reference_uniforms))
        assert torch.equal(found, expected)
    assert uniforms(seeds, positions, 0).shape == (5, 0, 2)
    assert not torch.equal(
        uniforms(seeds + 1, positions, 9), reference_uniforms(seeds, positions, 9)
    )


def test_arrays_of_the_wrong_type_or_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="positions must be int64"):
        uniforms(torch.tensor([1, 2]), torch.tensor([0]), 3)
    with pytest.raises(ValueError, match="seeds must be int64"):
        uniforms(torch.tensor([1.0]), torch.tensor([0]), 3)


def test_without_the_native_library_pytorch_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = uniforms(torch.tensor([7]), torch.tensor([3]), 50)
    monkeypatch.setattr(native, "find", lambda: None)
    assert torch.equal(uniforms(torch.tensor([7]), torch.tensor([3]), 50), expected)
