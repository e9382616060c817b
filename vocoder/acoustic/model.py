"""The acoustic model: phones and speaker to durations, F0, energy and log-mel, in parallel.

It is non-autoregressive. Durations, F0 and energy are predicted and fed to the decoder, as in
FastSpeech 2 (Ren et al. 2021, arXiv 2006.04558); in training the decoder gets the recording's own.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vocoder.acoustic.modules import ConvStack, ResidualConv
from vocoder.acoustic.refiner import Refiner, normals
from vocoder.config import AcousticConfig, FeatureConfig
from vocoder.features.harmonics import HarmonicMel
from vocoder.text.linguistic import (
    CHANNELS,
    CONTEXT,
    SILENCES,
    SYMBOLS,
    frame_features,
    frame_index,
)
from vocoder.wavenet.spectrum import MEL_CENTRE, MEL_SPREAD


class PhoneBatch(NamedTuple):
    """Phones of B sentences with at most N phones, and their speakers.

    Attributes:
        symbols: (B, N), int64; padding is 0.
        context: (B, N, CONTEXT).
        speaker: index (B,), int64.
        mask: 1 for phones, 0 for padding (B, N).
    """

    symbols: Tensor
    context: Tensor
    speaker: Tensor
    mask: Tensor


class Prosody(NamedTuple):
    """F0, voicing and energy at the frame rate.

    Attributes:
        log_f0: natural logarithm of F0 in Hz (B, F), interpolated where unvoiced.
        voiced: probability of voicing, or 0 and 1 (B, F).
        energy: see :func:`energy_of` (B, F).
    """

    log_f0: Tensor
    voiced: Tensor
    energy: Tensor


def energy_of(mel: Tensor) -> Tensor:
    """Loudness of each frame, scaled to about unit range: (..., n_mels, F) -> (..., F).

    The log of the mel power summed over bands.
    """
    return (mel.logsumexp(-2) + 8.0) / 4.0


class AcousticModel(nn.Module):
    """Phones and speaker to log-mel."""

    def __init__(self, config: AcousticConfig, features: FeatureConfig, speakers: int) -> None:
        super().__init__()
        self.config, self.features = config, features
        width, taps, dropout = config.encoder_channels, config.kernel_size, config.dropout
        self.symbol = nn.Embedding(len(SYMBOLS), width)
        self.context = nn.Linear(CONTEXT, width)
        self.speaker = nn.Embedding(speakers, width)
        self.encoder = nn.ModuleList(
            ResidualConv(width, taps, dropout) for _ in range(config.encoder_layers)
        )
        self.duration = ConvStack(width, width, 1, 1, taps, dropout)
        self.prosody = ConvStack(
            width + CHANNELS - 2, config.prosody_channels, 3, config.prosody_layers, taps, dropout
        )
        self.harmonics = HarmonicMel(features)
        self.decoder = ConvStack(
            width + CHANNELS + 1 + features.n_mels,
            config.decoder_channels,
            features.n_mels,
            config.decoder_layers,
            taps,
            dropout,
        )
        self.refiner = Refiner(config, features.n_mels)
        self.f0_mean: Tensor
        self.f0_spread: Tensor
        self.alias: Tensor
        self.register_buffer("f0_mean", torch.full((speakers,), 5.0))
        self.register_buffer("f0_spread", torch.full((speakers,), 0.2))
        self.register_buffer("alias", torch.arange(len(SYMBOLS)))

    def known(self, symbols: Tensor) -> Tensor:
        """Symbols (...), with those absent from the recordings replaced by the nearest ones."""
        return self.alias[symbols]

    def learn_symbols(self, symbols: Tensor) -> list[str]:
        """Learn which symbols (N,) the recordings contain; returns the phonemes they lack.

        Many corpora end every sentence with a full stop: other marks are then read like it.
        """
        heard = torch.bincount(symbols, minlength=len(SYMBOLS)) > 0
        stop = SYMBOLS.index(".")
        for number in range(SILENCES):
            if not heard[number] and heard[stop]:
                self.alias[number] = stop
        return [SYMBOLS[i] for i in range(SILENCES, len(SYMBOLS)) if not heard[i]]

    def encode(self, phones: PhoneBatch) -> Tensor:
        """Encode the phones in the context of their sentence (B, encoder_channels, N)."""
        x = self.symbol(phones.symbols) + self.context(phones.context)
        x = (x + self.speaker(phones.speaker)[:, None]).transpose(1, 2)
        for layer in self.encoder:
            x = layer(x, phones.mask[:, None])
        return x

    def log_durations(self, encoded: Tensor, phones: PhoneBatch) -> Tensor:
        """Natural logarithm of each phone's duration in frames (B, N)."""
        return self.duration(encoded, phones.mask[:, None])[:, 0].float()

    def predict_prosody(
        self, encoded: Tensor, phones: PhoneBatch, durations: Tensor, mask: Tensor
    ) -> tuple[Prosody, Tensor]:
        """F0, voicing and energy of every frame.

        Args:
            encoded: from :meth:`encode`.
            phones: that were encoded.
            durations: frames of each phone (B, N), int64.
            mask: 1 for frames, 0 for padding (B, F).

        Returns:
            The prosody, voicing as a probability; and the voicing's logit (B, F).
        """
        index = frame_index(durations, mask.shape[1])
        zero = torch.zeros_like(mask)
        placed = frame_features(phones.symbols, phones.context, durations, zero, zero)[:, :-2]
        x = torch.cat((_at(encoded, index), placed), 1)
        f0, logit, energy = self.prosody(x, mask[:, None]).float().unbind(1)
        mean, spread = self.f0_mean[phones.speaker], self.f0_spread[phones.speaker]
        log_f0 = mean[:, None] + spread[:, None] * f0
        return Prosody(log_f0, logit.sigmoid(), energy), logit

    def decode(
        self,
        encoded: Tensor,
        phones: PhoneBatch,
        durations: Tensor,
        prosody: Prosody,
        mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The mean log-mel of phones with the given durations and prosody.

        Returns:
            Log-mel (B, n_mels, F), and the refiner's condition (B, n_mels + C, F).
        """
        index = frame_index(durations, mask.shape[1])
        linguistic = frame_features(
            phones.symbols, phones.context, durations, prosody.log_f0, prosody.voiced
        )
        harmonic = self.harmonics(prosody.log_f0) * prosody.voiced[:, None]
        x = torch.cat((_at(encoded, index), linguistic, prosody.energy[:, None], harmonic), 1)
        hidden = self.decoder.hidden(x, mask[:, None])
        mel = self.decoder.output(hidden)
        condition = torch.cat((mel, hidden), 1)
        return mel.float() * MEL_SPREAD + MEL_CENTRE, condition

    def refine(self, mel: Tensor, condition: Tensor, mask: Tensor, seed: int) -> Tensor:
        """Draw one of the possible readings of a sentence, of which ``mel`` is the mean.

        Args:
            mel, condition: from :meth:`decode`, B = 1.
            mask: (1, F).
            seed: of the noise.
        """
        if not self.config.refiner_steps:
            return mel
        noise = self.config.refiner_spread * normals(seed, mel.shape[1], mel.shape[2])
        return mel + self.refiner.draw(noise.to(mel.device), condition, mask)


def _at(encoded: Tensor, index: Tensor) -> Tensor:
    """Select the phone of each frame: (B, C, N), index (B, F) -> (B, C, F)."""
    return encoded.gather(2, index[:, None].expand(-1, encoded.shape[1], -1))
