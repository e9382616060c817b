"""Draw the family from PixelRNN to WaveNet, each with its receptive field measured by gradients.

``python tools/documentation/receptive_fields.py docs/figures/receptive-fields.svg``
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from vocoder.config import ConditioningConfig, LogisticsConfig, ModelConfig, StackConfig
from vocoder.pixel.config import (
    DiagonalLstmConfig,
    GatedPixelCnnConfig,
    MixtureOutput,
    NetworkConfig,
    PixelCnnConfig,
    PixelCnnPlusPlusConfig,
    PixelConfig,
    RowLstmConfig,
)
from vocoder.pixel.model import PixelModel
from vocoder.pixel.receptive_field import influence
from vocoder.wavenet.model import WaveNet

HEIGHT, WIDTH, ROW, COLUMN = 12, 16, 8, 7
CELL, GAP, LEFT, TOP = 14, 34, 22, 72
PANEL, PANEL_HEIGHT = WIDTH * CELL, HEIGHT * CELL
SAMPLES = 52

MEMBERS: list[tuple[str, str, NetworkConfig]] = [
    (
        "PixelRNN: Row LSTM",
        "one layer: a triangle",
        RowLstmConfig(layers=1, hidden_channels=8, first_kernel=3),
    ),
    (
        "PixelRNN: Diagonal BiLSTM",
        "one layer: all but the last pixel above",
        DiagonalLstmConfig(layers=1, hidden_channels=8, first_kernel=3),
    ),
    (
        "PixelCNN",
        "12 blocks: a blind spot to the right",
        PixelCnnConfig(layers=12, hidden_channels=8, first_kernel=3),
    ),
    (
        "Gated PixelCNN",
        "12 layers, two stacks: no blind spot",
        GatedPixelCnnConfig(layers=12, hidden_channels=8, first_kernel=3),
    ),
    (
        "PixelCNN++",
        "strides of 2: the whole past in few layers",
        PixelCnnPlusPlusConfig(layers=2, hidden_channels=8, dropout=0.0),
    ),
]

STYLE = """
  text { font: 14px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .small { font-size: 12px; fill: #57606a }
  .bold { font-weight: 600 }
  .card { fill: #ffffff; stroke: #d0d7de }
  .later { fill: #f3f4f6; stroke: #ffffff }
  .seen { fill: #3b6fd4; stroke: #ffffff }
  .blind { fill: #f4b25e; stroke: #ffffff }
  .own { fill: #1f2328; stroke: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9da7b3 }
    .card { fill: #0d1117; stroke: #30363d }
    .later { fill: #1c2128; stroke: #0d1117 }
    .seen { fill: #6ea0ff; stroke: #0d1117 }
    .blind { fill: #b87514; stroke: #0d1117 }
    .own { fill: #e6edf3; stroke: #0d1117 }
  }
"""


def seen_by(network: NetworkConfig) -> Tensor:
    """Influence of each pixel on the one at (ROW, COLUMN), exactly 0 if unseen (H, W)."""
    torch.manual_seed(0)
    model = PixelModel(PixelConfig(network=network, output=MixtureOutput()))
    return influence(model, HEIGHT, WIDTH, ROW, COLUMN)[..., 0]


def seen_by_wavenet() -> Tensor:
    """Influence of each sample on the last one, for dilations 1, 2, 4, 8, 16 (SAMPLES,)."""
    torch.manual_seed(0)
    config = ModelConfig(
        stack=StackConfig(cycles=1, layers_per_cycle=5),
        distribution=LogisticsConfig(),
        conditioning=ConditioningConfig(kind="none", channels=4, upsample=(1,)),
    )
    model = WaveNet(config).double()
    samples = torch.zeros(1, SAMPLES, dtype=torch.float64, requires_grad=True)
    past = torch.nn.functional.pad(samples, (1, 0))[:, :-1].unsqueeze(-1)
    x = model.input(past)
    local, speaker = x.new_zeros(1, 1, 4), x.new_ones(1, 1)
    skips = model.stack(x, model.stack.project(local, speaker))
    (gradient,) = torch.autograd.grad(skips[0, -1].square().sum(), samples)
    return gradient[0].abs()


def cells(influences: Tensor, own: int, x: float, y: float) -> list[str]:
    """A grid of cells; ``own`` is the index of the pixel in raster order."""
    drawn = []
    largest = float(influences.max())
    for index, value in enumerate(influences.flatten().tolist()):
        row, column = divmod(index, influences.shape[1])
        kind, opacity = "later", ""
        if index == own:
            kind = "own"
        elif value > 0:
            # The logarithm over six decades; gradients fall quickly with distance.
            share = 1 + torch.tensor(value / largest).log10().item() / 6
            kind, opacity = "seen", f' fill-opacity="{max(0.25, min(1.0, share)):.2f}"'
        elif index < own:
            kind = "blind"
        drawn.append(
            f'<rect class="{kind}" x="{x + column * CELL:g}" y="{y + row * CELL:g}" '
            f'width="{CELL}" height="{CELL}"{opacity}/>'
        )
    return drawn


def figure() -> str:
    """The figure as SVG."""
    width = 2 * LEFT + 3 * PANEL + 2 * GAP
    height = TOP + 2 * (PANEL_HEIGHT + 62) + 52
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img">',
        "<title>The family from PixelRNN to WaveNet, with receptive fields</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10"/>',
    ]
    for i, (name, note, network) in enumerate(MEMBERS):
        row, column = divmod(i, 3)
        x, y = LEFT + column * (PANEL + GAP), TOP + row * (PANEL_HEIGHT + 62)
        parts += [
            f'<text class="bold" x="{x}" y="{y - 28}">{name}</text>',
            f'<text class="small" x="{x}" y="{y - 10}">{note}</text>',
            *cells(seen_by(network), ROW * WIDTH + COLUMN, x, y),
        ]
    x, y = LEFT + 2 * (PANEL + GAP), TOP + PANEL_HEIGHT + 62
    for i, (kind, label) in enumerate(
        [
            ("own", "the pixel that is drawn"),
            ("seen", "seen; paler: less influence"),
            ("blind", "earlier, but not seen"),
            ("later", "drawn later, never seen"),
        ]
    ):
        parts += [
            f'<rect class="{kind}" x="{x}" y="{y + 26 * i}" width="{CELL}" height="{CELL}"/>',
            f'<text class="small" x="{x + 24}" y="{y + 26 * i + 12}">{label}</text>',
        ]
    y = TOP + 2 * (PANEL_HEIGHT + 62) - 28
    influences = seen_by_wavenet()
    parts += [
        f'<text class="bold" x="{LEFT}" y="{y}">WaveNet</text>',
        f'<text class="small" x="{LEFT}" y="{y + 18}">Gated layers on one row, which is time, with '
        "dilations 1, 2, 4, 8, 16 and kernel size 2: 33 samples from 6 convolutions.</text>",
        *cells(influences.unsqueeze(0), SAMPLES - 1, LEFT, y + 32),
    ]
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(figure(), encoding="utf-8")
