"""WaveNet: the parallel, teacher-forced forward over whole sequences, and its likelihood.

van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio" (arXiv 1609.03499).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder import quantization
from vocoder.config import LogisticsConfig, ModelConfig
from vocoder.wavenet import distributions
from vocoder.wavenet.conditioning import Conditioning, LocalConditioning, pad_frames
from vocoder.wavenet.linear_prediction import LinearPrediction, predict
from vocoder.wavenet.modules import CausalConv1d, ResidualStack


class Signal(NamedTuple):
    """Audio as the model sees it, with what linear prediction knows of each sample.

    Attributes:
        samples: pre-emphasised samples on the distribution's grid (B, T).
        codes: mu-law codes (B, T); None for mixtures.
        shift: linear prediction of each sample (B, T); 0 without it.
        gain: excitation's standard deviation (B, T); 1 without it.
        level: the signal's standard deviation (B, T); 1 without it.
    """

    samples: Tensor
    codes: Tensor | None
    shift: Tensor
    gain: Tensor
    level: Tensor


class WaveNet(nn.Module):
    """A conditional WaveNet over samples, one stack conditioned on features and speaker."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        stack, outputs = config.stack, config.distribution.parameters
        self.conditioning = LocalConditioning(config)
        self.input = CausalConv1d(
            self.input_channels, stack.residual_channels, stack.kernel_size, 1
        )
        self.stack = ResidualStack(stack, config.conditioning.channels, len(config.speakers))
        self.head = nn.Linear(stack.skip_channels, stack.skip_channels)
        self.output = nn.Linear(stack.skip_channels, outputs)
        self._initialise()

    @property
    def input_channels(self) -> int:
        """Channels of the input: a one-hot code, a sample, or what linear prediction adds to it."""
        if self.config.distribution.kind == "mu_law":
            return self.config.distribution.classes
        return 3 if self.config.linear_prediction else 1

    def _initialise(self) -> None:
        # Start from the distribution's own prior: components spread out, weights and codes even.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        if isinstance(self.config.distribution, LogisticsConfig):
            count = self.config.distribution.components
            spread = torch.linspace(-1.0, 1.0, count) if count > 1 else torch.zeros(1)
            with torch.no_grad():
                self.output.bias[count : 2 * count] = spread
                self.output.bias[2 * count :] = -1.0

    def condition(self, features: Tensor, speaker: Tensor) -> Conditioning:
        """Conditioning of whole utterances.

        Args:
            features: log-mel (B, n_mels, F), or linguistic features (B, C, F).
            speaker: one-hot (B, S).
        """
        return self.condition_margined(
            pad_frames(features, self.config.conditioning.margin), speaker
        )

    def condition_margined(self, features: Tensor, speaker: Tensor) -> Conditioning:
        """As :meth:`condition`, for features that bring their margin: (B, C, F + 2 margin)."""
        first = torch.zeros(features.shape[0], dtype=torch.int64, device=features.device)
        return Conditioning(
            self.conditioning(features), speaker, self.conditioning.predict(features), first
        )

    def signal(self, audio: Tensor, prediction: LinearPrediction | None) -> Signal:
        """Audio (B, T) as the model sees it; T is N * hold where linear prediction is given."""
        if self.config.pre_emphasis:
            audio = audio - self.config.pre_emphasis * F.pad(audio, (1, 0))[:, :-1]
        if self.config.distribution.kind == "mu_law":
            codes = quantization.mu_law_encode(audio)
            samples = quantization.mu_law_decode(codes)
        else:
            codes, samples = None, distributions.to_16_bit(audio)
        if prediction is None:
            zero, one = torch.zeros_like(samples), torch.ones_like(samples)
            return Signal(samples, codes, zero, one, one)
        hold = self.config.hold
        shift = predict(samples, prediction.coefficients, hold)
        gain, level = (
            p.repeat_interleave(hold, dim=1) for p in (prediction.gain, prediction.level)
        )
        return Signal(samples, codes, shift, gain, level)

    def inputs(self, signal: Signal) -> Tensor:
        """What the network is fed at each time, all of it known before that sample (B, T, C).

        One-hot codes or samples of time t - 1, silence before the start. With linear prediction:
        the past sample and the prediction in units of the level, and the past excitation.
        """
        if signal.codes is not None:
            past = F.pad(signal.codes, (1, 0), value=quantization.SILENCE)[:, :-1]
            return F.one_hot(past, quantization.CLASSES).to(self.output.weight.dtype)
        past = F.pad(signal.samples, (1, 0))[:, :-1]
        if not self.config.linear_prediction:
            return past.unsqueeze(-1)
        excitation = (signal.samples - signal.shift) / signal.gain
        past_excitation = F.pad(excitation, (1, 0))[:, :-1]
        return torch.stack((past / signal.level, signal.shift / signal.level, past_excitation), -1)

    def network(self, inputs: Tensor, conditioning: Conditioning) -> Tensor:
        """Distribution parameters (B, T, P) from inputs (B, T, C), T = N * hold."""
        x = self.input(inputs)
        skips = self.stack(x, self.stack.project(conditioning.local, conditioning.speaker))
        hidden = F.relu(self.head(F.relu(skips)))
        with torch.autocast(hidden.device.type, enabled=False):
            parameters: Tensor = self.output(hidden.to(self.output.weight.dtype))
        return parameters

    def forward(self, audio: Tensor, conditioning: Conditioning) -> Tensor:
        """Parameters of each sample's distribution, given all the samples before it.

        Args:
            audio: samples in [-1, 1) (B, T), T at most N * hold.
            conditioning: of N blocks.

        Returns:
            (B, T, P): logits of the codes, or weights, locations and log-scales of the mixture.
        """
        padded = self._pad(audio, conditioning)
        signal = self.signal(padded, conditioning.prediction)
        return self.network(self.inputs(signal), conditioning)[:, : audio.shape[1]]

    def nll(self, audio: Tensor, conditioning: Conditioning, *, bf16: bool = False) -> Tensor:
        """Negative log-likelihood of each sample in nats (B, T); arguments as in forward.

        ``bf16`` runs the network under autocast; the signal and the likelihood stay float32.
        """
        signal = self.signal(self._pad(audio, conditioning), conditioning.prediction)
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=bf16):
            parameters = self.network(self.inputs(signal), conditioning)
        return self.nll_of(parameters, signal)[:, : audio.shape[1]]

    def nll_of(self, parameters: Tensor, signal: Signal) -> Tensor:
        """Negative log-likelihood (B, T) in nats of a signal under given parameters (B, T, P)."""
        if signal.codes is not None:
            return distributions.categorical_nll(parameters, signal.codes)
        assert isinstance(self.config.distribution, LogisticsConfig)
        return distributions.logistics_nll(
            parameters,
            signal.samples,
            self.config.distribution.log_scale_min,
            signal.shift,
            signal.gain,
        )

    def _pad(self, audio: Tensor, conditioning: Conditioning) -> Tensor:
        surplus = conditioning.blocks * self.config.hold - audio.shape[1]
        if surplus < 0:
            raise ValueError(
                f"audio has {audio.shape[1]} samples, conditioning covers "
                f"{conditioning.blocks * self.config.hold}"
            )
        return F.pad(audio, (0, surplus))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.output.weight.device
