"""Cached drawing equals the plain reference, whatever the chunks, the company and the restarts."""

import documents
import pytest
import torch
from drawing import CONDITIONAL, LEVELS, MEMBERS, condition, drawing_model, noise

from vocoder.errors import ImageError
from vocoder.pixel import reference
from vocoder.pixel.caches import ConvCache
from vocoder.pixel.condition import Condition
from vocoder.pixel.config import SoftmaxOutput
from vocoder.pixel.generation import TILE

HEIGHT, WIDTH = 4, 4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("member", MEMBERS)
def test_cached_drawing_equals_the_reference(member: str, channels: int) -> None:
    model = drawing_model(member, channels, conditional=member in CONDITIONAL)
    given = condition(2, HEIGHT, WIDTH) if member in CONDITIONAL else None
    draws = noise([3, 4], HEIGHT, WIDTH, channels)
    drawn = model.generate(given, draws)
    assert torch.equal(drawn, reference.generate(model, given, draws))
    assert drawn.unique().numel() > LEVELS // 3
    assert not torch.equal(drawn[0], drawn[1])


def test_a_planted_fault_in_a_cache_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    model, draws = drawing_model("pixel_cnn", 1), noise([3], HEIGHT, WIDTH, 1)
    expected = reference.generate(model, None, draws)
    monkeypatch.setattr(ConvCache, "record", lambda *_: None)
    assert not torch.equal(model.generate(None, draws), expected)


@pytest.mark.parametrize("member", MEMBERS)
def test_chunks_of_rows_and_restarts_change_nothing(member: str) -> None:
    model = drawing_model(member, 1, conditional=member in CONDITIONAL)
    draws = noise([7, 8], HEIGHT, WIDTH, 1)
    label, map_ = condition(2, HEIGHT, WIDTH)
    given = [
        Condition(label, map_[:, row : row + 1]) if member in CONDITIONAL else None
        for row in range(HEIGHT)
    ]
    whole = model.generate(Condition(label, map_) if given[0] else None, draws)
    drawing = model.start(2, WIDTH)
    rows = [drawing.rows(draws[:, :1], given[0])]
    kept = drawing.copy()
    rows += [drawing.rows(draws[:, r : r + 1], given[r]) for r in (1, 2, 3)]
    assert torch.equal(torch.cat(rows, 1), whole)
    again = [kept.rows(draws[:, r : r + 1], given[r]) for r in (1, 2, 3)]
    assert torch.equal(torch.cat(again, 1), whole[:, 1:])


@pytest.mark.parametrize("member", MEMBERS)
def test_an_image_does_not_depend_on_its_company(member: str) -> None:
    model = drawing_model(member, 1)
    together = model.generate(None, noise(list(range(TILE + 2)), HEIGHT, WIDTH, 1))
    for one in (0, 5, TILE + 1):
        alone = model.generate(None, noise([one], HEIGHT, WIDTH, 1))
        assert torch.equal(alone[0], together[one])


@pytest.mark.parametrize("member", ["gated_pixel_cnn", "pixel_cnn_plus_plus"])
def test_completion_keeps_what_is_known_and_draws_the_rest(member: str) -> None:
    model, draws = drawing_model(member, 3), noise([1], HEIGHT, WIDTH, 3)
    image = torch.full((1, HEIGHT, WIDTH, 3), 9)
    known = torch.rand(1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) < 0.5
    image[~known] = -77  # levels of missing pixels are not read
    found = model.complete(image, known, draws)
    assert (found[known] == 9).all()
    kept = image.clamp_min(0)
    expected = reference.generate(model, None, draws, image=kept, known=known)
    assert torch.equal(found, expected)
    everything = torch.ones_like(known)
    assert torch.equal(model.complete(found, everything, draws), found)
    nothing = torch.zeros_like(known)
    assert torch.equal(model.complete(image, nothing, draws), model.generate(None, draws))


def test_temperature_narrows_what_is_drawn() -> None:
    model = drawing_model("gated_pixel_cnn", 1, output=SoftmaxOutput())
    draws = noise([1, 2, 3], HEIGHT, WIDTH, 1)
    sharp = model.generate(None, draws, temperature=0.05)
    assert model.nll(sharp).mean() < model.nll(model.generate(None, draws)).mean()


def test_the_documented_example_runs() -> None:
    (block,) = documents.blocks("python", "pixel.md")
    names: dict[str, torch.Tensor] = {}
    exec(block.text, names)
    assert torch.equal(names["mended"], names["image"])  # drawn from the same noise


def test_what_cannot_be_drawn_is_refused() -> None:
    model = drawing_model("pixel_cnn_plus_plus", 1)
    with pytest.raises(ImageError, match="multiples of 4"):
        model.generate(None, noise([1], 4, 6, 1))
    with pytest.raises(ImageError, match=r"noise has shape \(1, 4, 4, 3, 2\)"):
        model.generate(None, noise([1], 4, 4, 3))
    with pytest.raises(ImageError, match="noise has shape"):
        model.generate(None, torch.rand(2, 4, 4))
    with pytest.raises(ImageError, match="above 0"):
        model.start(1, 4, temperature=0.0)
    with pytest.raises(ImageError, match="no class"):
        model.generate(Condition(torch.tensor([1])), noise([1], 4, 4, 1))
    image = torch.zeros(1, 4, 4, 1, dtype=torch.int64)
    with pytest.raises(ImageError, match="known has shape"):
        model.complete(image, torch.ones(1, 4, 3, dtype=torch.bool), noise([1], 4, 4, 1))
    with pytest.raises(ImageError, match="the image has shape"):
        model.complete(image[:, :2], torch.ones(1, 4, 4, dtype=torch.bool), noise([1], 4, 4, 1))
    with pytest.raises(ImageError, match="levels from 16 to 16"):
        model.complete(image + 16, torch.ones(1, 4, 4, dtype=torch.bool), noise([1], 4, 4, 1))
    drawing = model.start(1, 4)
    with pytest.raises(ImageError, match="both image and known"):
        drawing.rows(noise([1], 1, 4, 1), image=image[:, :1])
