"""Predicts the spectrum for linear prediction in voices conditioned on linguistic features."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.config import ModelConfig
from vocoder.features.f0 import LOG_F0_CENTRE
from vocoder.features.harmonics import DEPTH, HarmonicMel
from vocoder.features.mel import log_mel

MEL_CENTRE, MEL_SPREAD = -13.0, 4.0
"""Typical centre and spread of log-mel speech at -24 dBFS; they normalise a network's input."""

WIDTH = 256

EDGE_FRAMES = 3
"""Last frames of a segment that are not compared: the cut distorts their spectrum."""


class SpectrumPredictor(nn.Module):
    """Log-mel from linguistic features and the speaker.

    A mel spectrogram contains the envelope that linear prediction needs. Linguistic features do
    not, so this network predicts it: the mean log-mel of such a frame in that voice. It also
    predicts how far the harmonics of the frame's F0 stand out, because a long predictor carries the
    F0.

    The F0 itself is not an input. Speakers differ in pitch, so a network would treat F0 as part of
    the speaker's identity, and a man's intonation spoken with a woman's voice would sound like the
    man.

    Convolutions are unpadded, like those of the local conditioning.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.margin = config.conditioning.margin
        layers, bands = config.conditioning.encoder_layers, config.features.n_mels
        self.harmonics = HarmonicMel(config.features)
        self.input = nn.Conv1d(config.feature_channels - 1 + config.global_channels, WIDTH, 5)
        self.layers = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3) for _ in range(layers))
        self.output = nn.Conv1d(WIDTH, 2 * bands, 1)

    def forward(self, features: Tensor, speaker: Tensor) -> Tensor:
        """Log-mel (B, n_mels, F).

        Args:
            features: with margins (B, C, F + 2 margin); the last two channels are log F0 and voicing,
                see :func:`vocoder.text.linguistic.frame_features`.
            speaker: global conditioning (B, S).
        """
        log_f0, voiced = features[:, -2] + LOG_F0_CENTRE, features[:, -1:]
        held = speaker.unsqueeze(-1).expand(-1, -1, features.shape[-1])
        x = F.relu(self.input(torch.cat((features[:, :-2], voiced, held), dim=1)))
        for layer in self.layers:
            x = x[..., 1:-1] + F.relu(layer(x))
        own = slice(self.margin, features.shape[-1] - self.margin)
        harmonic = (self.harmonics(log_f0) * voiced)[..., own]
        surplus = (x.shape[-1] - harmonic.shape[-1]) // 2
        x = self.output(x[..., surplus : surplus + harmonic.shape[-1]])
        envelope, prominence = x.chunk(2, dim=1)
        return MEL_CENTRE + MEL_SPREAD * envelope + DEPTH * prominence.sigmoid() * harmonic

    def error(self, predicted: Tensor, audio: Tensor, mask: Tensor, config: ModelConfig) -> Tensor:
        """Absolute error of a prediction (B, n_mels, F) against the recording's log-mel, in nats.

        Args:
            predicted: of the segment's frames.
            audio: the segment (B, T).
            mask: 1 for samples that count (B, T).
            config: the model's.

        Returns:
            The mean error over the bands, summed over the samples that count (); the caller divides
            by their number.
        """
        hop = config.features.hop_length
        counted = mask[:, ::hop].clone()
        counted[:, -EDGE_FRAMES:] = 0.0
        target = log_mel(audio, config.features)
        distance = (predicted - target).abs().mean(1)
        return hop * (distance * counted).sum()
