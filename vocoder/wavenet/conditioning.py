"""From features to the sample loop's conditioning. All of it runs outside that loop."""

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.config import ModelConfig
from vocoder.native.packed_modules import PackedModules, weights_of
from vocoder.wavenet.linear_prediction import LinearPrediction, predict_from_mel
from vocoder.wavenet.spectrum import MEL_CENTRE, MEL_SPREAD, SpectrumPredictor


class Conditioning(NamedTuple):
    """Conditioning of B rows over N blocks, each constant for ``hold`` samples.

    Attributes:
        local: local conditioning (B, N, C).
        speaker: global conditioning (B, S): the speaker's one-hot, then the weights of the tags.
        prediction: linear prediction of each block; None if the model does not use it.
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


def global_conditioning(config: ModelConfig, speaker: int, tags: Sequence[str] = ()) -> Tensor:
    """The global conditioning vector (S,): the speaker's one-hot, then 1 for each given tag.

    van den Oord et al. 2016, section 2.5; tags as in section 3.3.
    """
    vector = torch.zeros(config.global_channels)
    vector[speaker] = 1.0
    for tag in tags:
        vector[len(config.speakers) + config.tags.index(tag)] = 1.0
    return vector


def pad_frames(features: Tensor, margin: int) -> Tensor:
    """Repeat the first and the last frame ``margin`` times: (..., F) -> (..., F + 2 margin)."""
    index = torch.arange(-margin, features.shape[-1] + margin, device=features.device)
    return features[..., index.clamp(0, features.shape[-1] - 1)]


LEAK = 0.4
"""Negative slope of the leaky ReLU after upsampling."""


class LocalConditioning(nn.Module):
    """Residual convolutions at the frame rate, then transposed convolutions (eq. 5's ``f(h)``).

    Convolutions are unpadded: they consume ``margin`` frames on each side. An excerpt of longer
    features, cut with its margins, is therefore conditioned exactly as within the whole.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        settings = config.conditioning
        self.config = config
        self.spectrum: SpectrumPredictor | None = None
        if settings.kind == "none":
            return
        if settings.kind == "linguistic" and config.linear_prediction:
            self.spectrum = SpectrumPredictor(config)
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
        """Features with margins (B, C, F + 2 margin) -> local conditioning (B, N, channels).

        Zeros for a model without local conditioning.
        """
        settings = self.config.conditioning
        if settings.kind == "none":
            blocks = features.shape[-1] * math.prod(settings.upsample)
            return features.new_zeros(len(features), blocks, settings.channels)
        if settings.kind == "mel":
            features = (features - MEL_CENTRE) / MEL_SPREAD
        native = self._native(features)
        return self._layers(features) if native is None else self._run(native, features)

    def _layers(self, features: Tensor) -> Tensor:
        x = F.relu(self.input(features))
        for conv, mix in zip(self.encoder, self.mix, strict=True):
            x = x[..., 1:-1] + mix(F.relu(conv(x)))
        x = self.output(x)
        for conv, scale in zip(self.upsample, self.config.conditioning.upsample, strict=True):
            # An output is complete if its input and both neighbours were present: drop the rest.
            x = F.leaky_relu(conv(x), LEAK)[..., 2 * scale : -2 * scale]
        settings = self.config.conditioning
        blocks = (features.shape[-1] - 2 * settings.margin) * math.prod(settings.upsample)
        surplus = (x.shape[-1] - blocks) // 2
        return x[..., surplus : surplus + blocks].transpose(1, 2)

    def _native(self, features: Tensor) -> Any | None:
        on_cpu = features.device.type == "cpu" and features.dtype == torch.float32
        single = len(self.config.conditioning.upsample) == 1
        if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or not (on_cpu and single):
            return None
        return _packed.get(self)

    def _run(self, native: Any, features: Tensor) -> Tensor:
        settings = self.config.conditioning
        frames = features.shape[-1] - 2 * settings.margin
        out = torch.empty(len(features), frames, settings.channels * settings.upsample[0])
        for row, given in zip(out, features.detach(), strict=True):
            native.run(given.T.contiguous().numpy(), row.numpy())
        return out.unflatten(2, (-1, settings.channels)).flatten(1, 2)

    def predict(self, features: Tensor, speaker: Tensor) -> LinearPrediction | None:
        """The linear prediction of each frame, held for the frame's blocks.

        Args:
            features: with margins (B, C, F + 2 margin).
            speaker: global conditioning (B, S).
        """
        settings = self.config.linear_prediction
        if settings is None:
            return None
        margin = self.config.conditioning.margin
        if self.spectrum is None:
            mel = features[..., margin : features.shape[-1] - margin]
        else:
            with torch.no_grad():
                mel = self.spectrum(features, speaker)
        blocks = self.config.features.hop_length // self.config.hold
        prediction = predict_from_mel(mel, self.config.features, settings, self.config.bands)
        return LinearPrediction(*(part.repeat_interleave(blocks, dim=1) for part in prediction))


def _pack(source: LocalConditioning, library: ModuleType, instructions: str) -> Any:
    stack = library.Stack(
        inputs=source.config.feature_channels, same=False, format="fp32", instructions=instructions
    )
    stack.convolve(kernel=weights_of(source.input), activation="rectify")
    for conv, mix in zip(source.encoder, source.mix, strict=True):
        stack.residual(
            norm=None, kernel=weights_of(conv), activation="rectify", mix=weights_of(mix)
        )
    stack.convolve(kernel=weights_of(source.output))
    # A frame's outputs depend on it and its neighbours: three taps, all outputs side by side.
    (upsample,) = source.upsample
    weight, bias = weights_of(upsample)
    (scale,) = source.config.conditioning.upsample
    taps = weight.unflatten(2, (3, scale)).flip(2).permute(3, 1, 0, 2).flatten(0, 1)
    stack.convolve(kernel=(taps.contiguous(), bias.repeat(scale)), activation="rectify", slope=LEAK)
    return stack


_packed: PackedModules[LocalConditioning, Any] = PackedModules(_pack)
