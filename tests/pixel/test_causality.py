"""Masks and receptive fields: a pixel sees only those before it, channel by channel."""

import pytest
import torch
from documentation.receptive_fields import seen_by_wavenet
from drawing import CONDITIONAL, LEVELS, MEMBERS, condition, drawing_model
from torch import Tensor

from vocoder.pixel.config import (
    DiagonalLstmConfig,
    GatedPixelCnnConfig,
    NetworkConfig,
    PixelCnnConfig,
    PixelConfig,
    RowLstmConfig,
)
from vocoder.pixel.masks import centre_mask, groups_of
from vocoder.pixel.model import PixelModel
from vocoder.pixel.pixel_rnn import skew, unskew
from vocoder.pixel.receptive_field import influence
from vocoder.pixel.recurrence import recur

SIZE = 8
PLACES = ((0, 0), (3, 7), (4, 3), (7, 0))


def order(channels: int) -> Tensor:
    """The position of each channel of each pixel in the order of generation (H, W, C)."""
    return torch.arange(SIZE * SIZE * channels).view(SIZE, SIZE, channels)


def first_unseen(model: PixelModel, row: int, column: int, channel: int) -> int:
    """The position of the first channel that a channel must not see."""
    channels = model.config.channels
    return (row * SIZE + column) * channels + (0 if model.config.coupled else channel)


def leaks(model: PixelModel) -> int:
    """Inputs with a gradient that should have none, over some places and all channels."""
    channels, found = model.config.channels, 0
    for row, column in PLACES:
        for channel in range(1 if model.config.coupled else channels):
            own = None if model.config.coupled else channel
            seen = influence(model, SIZE, SIZE, row, column, own) > 0
            unseen = order(channels) >= first_unseen(model, row, column, channel)
            found += int((seen & unseen).sum())
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("member", MEMBERS)
def test_no_gradient_comes_from_what_must_not_be_seen(member: str, channels: int) -> None:
    assert leaks(drawing_model(member, channels)) == 0


@pytest.mark.parametrize("member", [m for m in MEMBERS if "plus" not in m and "with" not in m])
def test_a_planted_leak_is_found(member: str) -> None:
    model = drawing_model(member, 3)
    first = model.network.beside if member == "gated_pixel_cnn" else model.network.first
    first.mask[:, :, -1, 3] = 1.0  # mask A forgotten at the pixel itself
    with torch.no_grad():
        first.conv.weight += 0.1
    # The measured copy builds its own masks, so measure on values.
    assert changes(model) > 0


def changes(model: PixelModel) -> int:
    """Parameters that change with channels that they must not see, over places and channels."""
    channels, found = model.config.channels, 0
    generator = torch.Generator().manual_seed(2)
    image = torch.randint(LEVELS, (1, SIZE, SIZE, channels), generator=generator)
    given = condition(1, SIZE, SIZE) if model.config.classes else None
    with torch.no_grad():
        before = model.parameters_of(image, given)[0]
        for row, column in PLACES:
            for channel in range(1 if model.config.coupled else channels):
                first = first_unseen(model, row, column, channel)
                other = torch.where(order(channels) >= first, LEVELS - 1 - image[0], image[0])
                after = model.parameters_of(other[None], given)[0]
                if model.config.coupled:
                    same = order(1)[..., 0] <= row * SIZE + column
                    found += int((before != after)[same].sum())
                else:
                    own = order(channels) <= first
                    apart = [x.unflatten(-1, (channels, -1)) for x in (before, after)]
                    found += int((apart[0] != apart[1])[own].sum())
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("member", MEMBERS)
def test_changing_what_must_not_be_seen_changes_no_value(member: str, channels: int) -> None:
    assert changes(drawing_model(member, channels, conditional=member in CONDITIONAL)) == 0


def field(network: NetworkConfig) -> Tensor:
    """Which pixels the pixel at row 5, column 4 of an image of 7 x 11 sees, bool (7, 11)."""
    torch.manual_seed(0)
    model = PixelModel(PixelConfig(levels=4, network=network))
    return influence(model, 7, 11, 5, 4)[..., 0] > 0


def region() -> tuple[Tensor, Tensor, Tensor]:
    """Rows above and columns to the right of that pixel, and whether a pixel is before it."""
    rows, columns = torch.meshgrid(torch.arange(7), torch.arange(11), indexing="ij")
    above, right = 5 - rows, columns - 4
    return above, right, (above > 0) | ((above == 0) & (right < 0))


def test_pixel_cnn_has_a_blind_spot_and_gated_pixel_cnn_has_none() -> None:
    above, right, before = region()
    blind = field(PixelCnnConfig(layers=12, hidden_channels=4, first_kernel=3))
    # To the right it reaches one column a row: a line at 45 degrees.
    assert torch.equal(blind, before & (right <= above))
    gated = field(GatedPixelCnnConfig(layers=12, hidden_channels=4, first_kernel=3))
    assert torch.equal(gated, before)


def test_row_lstm_sees_a_triangle_and_diagonal_bilstm_all_but_one_pixel() -> None:
    above, right, before = region()
    row = field(RowLstmConfig(layers=1, hidden_channels=4, first_kernel=3))
    assert torch.equal(row, before & (right <= above) & (right >= -above - 2))
    diagonal = field(DiagonalLstmConfig(layers=1, hidden_channels=4, first_kernel=3))
    # Mask A hides a pixel from its own features, and no states pass the end of a row: only the
    # first convolution sees the last pixel of the row above, if it is near.
    last = (above == 1) & (right == 6)
    assert torch.equal(diagonal, before & ~last)
    near = field(DiagonalLstmConfig(layers=1, hidden_channels=4, first_kernel=13))
    assert torch.equal(near, before)


def test_the_figure_of_wavenet_has_the_receptive_field_that_it_names() -> None:
    seen = seen_by_wavenet() > 0
    assert seen.sum() == 33
    assert seen[-34:-1].all()


def test_groups_are_contiguous_and_as_even_as_possible() -> None:
    assert groups_of(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert groups_of(3, 3, copies=2).tolist() == [0, 1, 2, 0, 1, 2]


def test_mask_a_hides_the_own_group_and_mask_b_shows_it() -> None:
    groups = groups_of(3, 3)
    assert centre_mask(groups, groups, "A").tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert centre_mask(groups, groups, "B").tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_unskew_inverts_skew() -> None:
    x = torch.randn(2, 4, 5, 3)
    assert torch.equal(unskew(skew(x), 5), x)
    assert torch.equal(skew(x)[:, 2, 2:7], x[:, 2])


@pytest.mark.parametrize("offsets", [(-1, 0), (-1, 0, 1), (0,)])
def test_the_recurrence_has_the_gradients_of_its_definition(offsets: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64, "requires_grad": True}
    gates = torch.randn(3, 2, 1, 3, 4, **options)
    weight = torch.randn(2, len(offsets), 4, **options)
    assert torch.autograd.gradcheck(lambda g, w: recur(g, w, offsets), (gates, weight))
