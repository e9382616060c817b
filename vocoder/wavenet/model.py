"""WaveNet: the parallel, teacher-forced forward over whole sequences, and its likelihood.

van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio" (arXiv 1609.03499).
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.config import GaussianConfig, LogisticsConfig, ModelConfig, MuLawConfig
from vocoder.wavenet import distributions, mu_law
from vocoder.wavenet.conditioning import Conditioning, LocalConditioning, pad_frames
from vocoder.wavenet.filter_bank import analyse
from vocoder.wavenet.linear_prediction import LinearPrediction, predict
from vocoder.wavenet.modules import CausalConv1d, ContextStack, ResidualStack


class Signal(NamedTuple):
    """Audio in the model's representation, with the linear prediction of each sample.

    With M bands, samples are band samples: sample ``M t + k`` is that of band k at step t.

    Attributes:
        samples: pre-emphasised samples on the distribution's grid (B, T).
        codes: mu-law codes (B, T); None for mixtures.
        shift: linear prediction of each sample (B, T); 0 without it.
        gain: standard deviation of the excitation (B, T); 1 without it.
        level: standard deviation of the signal (B, T); 1 without it.
    """

    samples: Tensor
    codes: Tensor | None
    shift: Tensor
    gain: Tensor
    level: Tensor


class Past(NamedTuple):
    """The audio before that of a forward pass; only the context stacks use it.

    Attributes:
        audio: (B, P), P a multiple of every context stack's ``pool``.
        known: number of valid samples at the end of each row (B,), int64, multiples of every
            ``pool``; the row's recording starts with them.
    """

    audio: Tensor
    known: Tensor


SPEECH_SPREAD = 0.06
"""Standard deviation of speech at -24 dBFS."""


class WaveNet(nn.Module):
    """A WaveNet: a stack over samples, conditioned on features, speaker and contexts."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        stack, outputs = config.stack, config.distribution.parameters
        self.conditioning = LocalConditioning(config)
        self.input = CausalConv1d(
            self.input_channels, stack.residual_channels, stack.kernel_size, 1
        )
        self.stack = ResidualStack(
            stack, config.conditioning.channels, config.global_channels, config.context_channels
        )
        self.contexts = nn.ModuleList(ContextStack(context) for context in config.contexts)
        self.head = nn.Linear(stack.skip_channels, config.head_width)
        self.output = nn.Linear(config.head_width, config.bands * outputs)
        self._initialise()

    @property
    def input_channels(self) -> int:
        """Input channels: a one-hot code, or a sample of each band.

        With linear prediction, a sample has three channels; see :meth:`inputs`.
        """
        if self.config.distribution.kind == "mu_law":
            return self.config.distribution.classes
        return self.config.bands * (3 if self.config.linear_prediction else 1)

    def _initialise(self) -> None:
        # Start from a broad prior: components spread out, weights and codes uniform.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        # Linear prediction scales the input to unit range; plain samples are much smaller.
        plain = self.config.linear_prediction is None
        spread, log_scale = (SPEECH_SPREAD, math.log(SPEECH_SPREAD) - 1) if plain else (1.0, -1.0)
        bias = self.output.bias.detach().view(self.config.bands, -1)
        if isinstance(self.config.distribution, LogisticsConfig):
            count = self.config.distribution.components
            locations = torch.linspace(-spread, spread, count) if count > 1 else torch.zeros(1)
            bias[:, count : 2 * count] = locations
            bias[:, 2 * count :] = log_scale
        elif isinstance(self.config.distribution, GaussianConfig):
            bias[:, 1] = log_scale
        if plain and self.config.distribution.kind != "mu_law":
            with torch.no_grad():
                self.input.linear.weight /= SPEECH_SPREAD

    def condition(self, features: Tensor, speaker: Tensor) -> Conditioning:
        """Conditioning of whole utterances.

        Args:
            features: log-mel (B, n_mels, F), linguistic features (B, C, F), or nothing (B, 0, F)
                for a model without local conditioning.
            speaker: global conditioning (B, S): one-hot, then the tag weights.
        """
        return self.condition_margined(
            pad_frames(features, self.config.conditioning.margin), speaker
        )

    def condition_margined(self, features: Tensor, speaker: Tensor) -> Conditioning:
        """Like :meth:`condition`, for features that include their margins (B, C, F + 2 margin)."""
        first = torch.zeros(features.shape[0], dtype=torch.int64, device=features.device)
        prediction = self.conditioning.predict(features, speaker)
        return Conditioning(self.conditioning(features), speaker, prediction, first)

    def signal(self, audio: Tensor, prediction: LinearPrediction | None) -> Signal:
        """Audio (B, T) in the model's representation; T is N * hold if there is a prediction.

        With bands, audio before and after is taken as silence.
        """
        samples, codes = self._on_grid(audio)
        if prediction is None:
            zero, one = torch.zeros_like(samples), torch.ones_like(samples)
            return Signal(samples, codes, zero, one, one)
        hold = self.config.hold // self.config.bands
        coefficients = prediction.coefficients.transpose(1, 2).flatten(0, 1)
        # Each band is predicted from its own past.
        by_band = self._steps(samples).transpose(1, 2).flatten(0, 1)
        shift = predict(by_band, coefficients, hold).unflatten(0, (len(samples), -1))
        shift = shift.transpose(1, 2).flatten(1)
        gain, level = (
            p.repeat_interleave(hold, dim=1).flatten(1) for p in (prediction.gain, prediction.level)
        )
        return Signal(samples, codes, shift, gain, level)

    def _steps(self, samples: Tensor) -> Tensor:
        """Samples (B, T) by step and band (B, T / M, M)."""
        return samples.unflatten(1, (-1, self.config.bands))

    def _on_grid(self, audio: Tensor) -> tuple[Tensor, Tensor | None]:
        """Samples on the distribution's grid, and their mu-law codes, if any.

        They are pre-emphasised or split into bands, as the model's settings ask for.
        """
        if self.config.pre_emphasis:
            audio = audio - self.config.pre_emphasis * F.pad(audio, (1, 0))[:, :-1]
        if self.config.distribution.kind == "mu_law":
            codes = mu_law.encode(audio)
            return mu_law.decode(codes), codes
        return distributions.to_16_bit(analyse(audio, self.config.bands), self.config.bands), None

    def context(self, audio: Tensor, past: Past | None = None) -> Tensor | None:
        """The context stacks' outputs for each block of audio (B, T), from the samples before it.

        Returns:
            (B, N, context_channels), N = T / hold; None for a model without context stacks.
        """
        if not self.contexts:
            return None
        whole = audio if past is None else torch.cat((past.audio, audio), dim=1)
        known = None if past is None else past.known + audio.shape[1]
        samples = mu_law.compand(self._on_grid(whole)[0])
        samples = samples.to(self.output.weight.dtype)
        given = []
        for stack in self.contexts:
            assert isinstance(stack, ContextStack)
            pool = stack.config.pool
            windows = stack(samples, known)[:, -(audio.shape[1] // pool) :]
            given.append(windows.repeat_interleave(pool // self.config.hold, dim=1))
        return torch.cat(given, dim=-1)

    def inputs(self, signal: Signal) -> Tensor:
        """The network's inputs at each step, all known before that step (B, T / M, C).

        The one-hot code or the samples of step t - 1, with silence before the start. With linear
        prediction: the past samples and the predictions, both divided by the level, and the past
        excitations, each of M bands.
        """
        if signal.codes is not None:
            past = F.pad(signal.codes, (1, 0), value=mu_law.SILENCE)[:, :-1]
            return F.one_hot(past, mu_law.CLASSES).to(self.output.weight.dtype)
        bands = self.config.bands
        past = F.pad(signal.samples, (bands, 0))[:, :-bands]
        if not self.config.linear_prediction:
            return self._steps(past)
        excitation = (signal.samples - signal.shift) / signal.gain
        past_excitation = F.pad(excitation, (bands, 0))[:, :-bands]
        scaled = past / signal.level, signal.shift / signal.level, past_excitation
        return torch.cat([self._steps(part) for part in scaled], dim=-1)

    def network(
        self, inputs: Tensor, conditioning: Conditioning, context: Tensor | None = None
    ) -> Tensor:
        """Distribution parameters (B, T, P) from inputs (B, T / M, C), T = N * hold.

        ``context`` is the output of :meth:`context`.
        """
        x = self.input(inputs)
        given = self.stack.project(conditioning.local, conditioning.speaker, context)
        return self.parameters_of(self.stack(x, given))

    def parameters_of(self, skips: Tensor) -> Tensor:
        """Distribution parameters (B, T, P) from the sum of the skips (B, T / M, skip_channels)."""
        hidden = F.relu(self.head(F.relu(skips)))
        with torch.autocast(hidden.device.type, enabled=False):
            parameters: Tensor = self.output(hidden.to(self.output.weight.dtype))
        return self.by_sample(parameters)

    def by_sample(self, parameters: Tensor) -> Tensor:
        """Outputs of steps (B, T / M, M P), band by band, as parameters of samples (B, T, P)."""
        return parameters.unflatten(-1, (self.config.bands, -1)).flatten(1, 2)

    def forward(
        self, audio: Tensor, conditioning: Conditioning, past: Past | None = None
    ) -> Tensor:
        """Parameters of each sample's distribution, given all the samples before it.

        With bands: of each band sample, given all those of the steps before its own.

        Args:
            audio: samples in [-1, 1) (B, T), T at most N * hold.
            conditioning: of N blocks.
            past: the audio before, for the context stacks; none if None.

        Returns:
            (B, T, P): logits of the codes, or weights, locations and log-scales of the mixture.
        """
        padded = self._pad(audio, conditioning)
        signal = self.signal(padded, conditioning.prediction)
        context = self.context(padded, past)
        return self.network(self.inputs(signal), conditioning, context)[:, : audio.shape[1]]

    def nll(
        self,
        audio: Tensor,
        conditioning: Conditioning,
        past: Past | None = None,
        *,
        bf16: bool = False,
    ) -> Tensor:
        """Negative log-likelihood of each sample in nats (B, T); arguments as in forward.

        ``bf16`` runs the network under autocast; the signal and the likelihood stay float32.
        """
        padded = self._pad(audio, conditioning)
        signal = self.signal(padded, conditioning.prediction)
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=bf16):
            context = self.context(padded, past)
            parameters = self.network(self.inputs(signal), conditioning, context)
        return self.nll_of(parameters, signal)[:, : audio.shape[1]]

    def nll_of(self, parameters: Tensor, signal: Signal) -> Tensor:
        """Negative log-likelihood (B, T) in nats of a signal under given parameters (B, T, P)."""
        if signal.codes is not None:
            return distributions.categorical_nll(parameters, signal.codes)
        distribution = self.config.distribution
        assert not isinstance(distribution, MuLawConfig)
        nll = (
            distributions.gaussian_nll
            if isinstance(distribution, GaussianConfig)
            else distributions.logistics_nll
        )
        floor, limit = distribution.log_scale_min, float(self.config.bands)
        return nll(parameters, signal.samples, floor, signal.shift, signal.gain, limit)

    def _pad(self, audio: Tensor, conditioning: Conditioning) -> Tensor:
        surplus = conditioning.blocks * self.config.hold - audio.shape[1]
        if surplus < 0:
            raise ValueError(
                f"audio has {audio.shape[1]} samples, but the conditioning covers only "
                f"{conditioning.blocks * self.config.hold}"
            )
        return F.pad(audio, (0, surplus))

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.output.weight.device
