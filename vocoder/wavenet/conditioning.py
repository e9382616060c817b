"""From features to what the sample loop is conditioned on. All of it runs outside that loop."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.config import ModelConfig
from vocoder.wavenet.linear_prediction import LinearPrediction, predict_from_mel


class Conditioning(NamedTuple):
    """Conditioning of B rows over N blocks, each constant for ``hold`` samples.

    Attributes:
        local: local conditioning (B, N, C).
        speaker: one-hot (B, S).
        prediction: linear prediction of each block, where the model uses it.
        first: index of each row's first block in its stream (B,), int64; 0 for whole utterances.
    """

    local: Tensor
    speaker: Tensor
    prediction: LinearPrediction | None
    first: Tensor

    @property
    def blocks(self) -> int:
        """Number of blocks N."""
        return self.local.shape[1]


def pad_frames(features: Tensor, margin: int) -> Tensor:
    """Repeat the first and the last frame ``margin`` times: (..., F) -> (..., F + 2 margin)."""
    index = torch.arange(-margin, features.shape[-1] + margin, device=features.device)
    return features[..., index.clamp(0, features.shape[-1] - 1)]


MEL_CENTRE, MEL_SPREAD = -13.0, 4.0
"""Log mel power of speech at -24 dBFS lies about here; networks see it near unit range."""


class LocalConditioning(nn.Module):
    """Residual convolutions at the frame rate, then transposed convolutions (eq. 5's ``f(h)``).

    Convolutions are unpadded: they eat the ``margin`` frames given on each side. So a stretch cut
    from longer features, margins included, is conditioned exactly as within the whole.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        settings = config.conditioning
        self.config = config
        width = settings.encoder_channels
        self.input = nn.Conv1d(config.feature_channels, width, 5)
        self.encoder = nn.ModuleList(
            nn.Conv1d(width, width, 3) for _ in range(settings.encoder_layers)
        )
        self.mix = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(settings.encoder_layers))
        self.output = nn.Conv1d(width, settings.channels, 1)
        self.upsample = nn.ModuleList(
            nn.ConvTranspose1d(settings.channels, settings.channels, 3 * scale, scale)
            for scale in settings.upsample
        )

    def forward(self, features: Tensor) -> Tensor:
        """Margined features (B, C, F + 2 margin) -> local conditioning (B, N, channels)."""
        if self.config.conditioning.kind == "mel":
            features = (features - MEL_CENTRE) / MEL_SPREAD
        x = F.relu(self.input(features))
        for conv, mix in zip(self.encoder, self.mix, strict=True):
            x = x[..., 1:-1] + mix(F.relu(conv(x)))
        x = self.output(x)
        for conv, scale in zip(self.upsample, self.config.conditioning.upsample, strict=True):
            # An output is whole where its element and both neighbours were there: drop the rest.
            x = F.leaky_relu(conv(x), 0.4)[..., 2 * scale : -2 * scale]
        settings = self.config.conditioning
        blocks = (features.shape[-1] - 2 * settings.margin) * math.prod(settings.upsample)
        surplus = (x.shape[-1] - blocks) // 2
        return x[..., surplus : surplus + blocks].transpose(1, 2)

    def predict(self, mel: Tensor) -> LinearPrediction | None:
        """The linear prediction of each frame, held for the frame's blocks."""
        settings = self.config.linear_prediction
        if settings is None:
            return None
        margin = self.config.conditioning.margin
        frames = mel[..., margin : mel.shape[-1] - margin]
        blocks = self.config.features.hop_length // self.config.hold
        prediction = predict_from_mel(frames, self.config.features, settings)
        return LinearPrediction(*(part.repeat_interleave(blocks, dim=1) for part in prediction))
