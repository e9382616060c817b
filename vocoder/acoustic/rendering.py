"""A sentence to acoustic features, with the time of each word and phoneme."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vocoder.acoustic.model import AcousticModel, PhoneBatch, Prosody, energy_of
from vocoder.acoustic.packed import packed
from vocoder.config import ContrastConfig, FeatureConfig
from vocoder.errors import TextError
from vocoder.features.feature_file import Features
from vocoder.features.spectral_contrast import sharpened
from vocoder.text.linguistic import LAYOUT, SILENCES, Phones, frame_features, phones
from vocoder.text.timings import SentenceTimings, TimedPhoneme, TimedWord
from vocoder.text.utterance import Sentence

MAX_PHONE_S = 1.0
MAX_SILENCE_S = 0.3
"""The training data has no longer ones; a longer silence holds one of its frames."""

OCTAVE = 12.0

LENGTH_STEP = 32
"""Phones and frames of a sentence are padded to a multiple of this number."""


@dataclass(frozen=True)
class Rendering:
    """One sentence as it will be spoken.

    Attributes:
        sentence: from the text front end.
        speaker: index.
        seed: of its noise.
        phones: N of them, pauses included.
        durations: frames of each phone (N,), int64.
        prosody: of every frame (1, F); voicing is 0 or 1.
        mel: log-mel (n_mels, F).
        frame_rate_hz: frames per second.
    """

    sentence: Sentence
    speaker: int
    seed: int
    phones: Phones
    durations: Tensor
    prosody: Prosody
    mel: Tensor
    frame_rate_hz: float

    @property
    def linguistic(self) -> Tensor:
        """Linguistic features (CHANNELS, F)."""
        return frame_features(
            self.phones.symbols[None],
            self.phones.context[None],
            self.durations[None],
            self.prosody.log_f0,
            self.prosody.voiced,
        )[0]

    @property
    def f0(self) -> Tensor:
        """F0 in Hz, 0 where unvoiced (F,)."""
        return (self.prosody.log_f0.exp() * self.prosody.voiced)[0]

    def features(self, config: FeatureConfig) -> Features:
        """Features that condition a vocoder with ``config``."""
        return Features(self.mel, config, self.f0, self.linguistic, LAYOUT)

    def timings(self, offset_s: float = 0.0) -> SentenceTimings:
        """Times of the words and phonemes, for a sentence that starts at ``offset_s``."""
        ends = (self.durations.cumsum(0) / self.frame_rate_hz + offset_s).tolist()
        starts = [offset_s, *ends[:-1]]
        silent = (self.phones.symbols < SILENCES).tolist()
        owners = self.phones.words.tolist()
        words = []
        for index, word in enumerate(self.sentence.words):
            own = [phone for phone, owner in enumerate(owners) if owner == index]
            symbols = [*map(str, word.phonemes), word.pause or ","][: len(own)]
            spoken = [phone for phone in own if not silent[phone]]
            phonemes = tuple(
                TimedPhoneme(symbol, starts[phone], ends[phone])
                for symbol, phone in zip(symbols, own, strict=True)
            )
            words.append(TimedWord(word.text, starts[spoken[0]], ends[spoken[-1]], phonemes))
        return SentenceTimings(self.sentence.text, tuple(words))


@torch.inference_mode()
def render(
    model: AcousticModel,
    sentence: Sentence,
    speaker: int,
    *,
    seed: int = 0,
    speed: float = 1.0,
    pitch: float = 0.0,
    durations: Tensor | None = None,
    prosody: Prosody | None = None,
    tail_s: float = 0.0,
    contrast: ContrastConfig | None = None,
) -> Rendering:
    """Durations, prosody and log-mel of one sentence.

    Args:
        model: in evaluation mode.
        sentence: from the text front end.
        speaker: index.
        seed: of the refiner's noise.
        speed: factor; pauses with a length given in the text are not scaled.
        pitch: shift in semitones.
        durations: frames of each phone (N,), int64, at least 1; predicted if None.
        prosody: of each of the F frames that ``durations`` add up to, (1, F); predicted if None.
        tail_s: silence after the sentence, in seconds.
        contrast: added to the spectrum; None adds none.

    Raises:
        TextError: ``durations`` has the wrong length, or a value below 1.
    """
    model = packed(model)
    spoken = phones(sentence)
    count = len(spoken.symbols)
    device = model.symbol.weight.device
    batch = PhoneBatch(
        _padded(model.known(spoken.symbols.to(device))[None]),
        _padded(spoken.context.T[None].to(device)).transpose(1, 2),
        torch.tensor([speaker], device=device),
        _padded(torch.ones(1, count, device=device)),
    )
    encoded = model.encode(batch)
    rate_hz = model.features.frame_rate_hz
    if durations is None:
        natural = model.log_durations(encoded, batch)[0, :count].cpu().exp()
        durations = _in_frames(natural / (spoken.rate * speed), spoken, rate_hz)
    elif durations.shape != (count,) or int(durations.min()) < 1:
        raise TextError(
            f"durations {tuple(durations.shape)}: expected {count} of at least 1 frame",
            param="durations",
        )
    silent = spoken.symbols < SILENCES
    longest = torch.where(silent, round(MAX_SILENCE_S * rate_hz), durations)
    model_durations = durations.minimum(longest)
    added = durations - model_durations
    added[0] += round(sentence.break_s * rate_hz)
    added[-1] += round(tail_s * rate_hz)
    frames = int(model_durations.sum())
    batch_durations = _padded(model_durations[None].to(device))
    mask = _padded(torch.ones(1, frames, device=device))
    if prosody is None:
        prosody, _ = model.predict_prosody(encoded, batch, batch_durations, mask)
    elif prosody.log_f0.shape[1] != frames:
        raise TextError(
            f"prosody has {prosody.log_f0.shape[1]} frames, expected {frames}", param="prosody"
        )
    else:
        prosody = Prosody(*(_padded(part.to(device)) for part in prosody))
    owner = torch.repeat_interleave(model_durations)
    shift = _padded((pitch + spoken.pitch)[owner][None].to(device)) * (math.log(2) / OCTAVE)
    voiced = (prosody.voiced > 0.5) & _padded(~silent[owner][None].to(device))
    prosody = Prosody(prosody.log_f0 + shift, voiced.float(), prosody.energy)
    mean, condition = model.decode(encoded, batch, batch_durations, prosody, mask)
    mel = model.refine(mean, condition, mask, seed)[0, :, :frames].cpu()
    if contrast is not None:
        mel = sharpened(mel, contrast, model.features)
    prosody = Prosody(*(part[:, :frames].cpu() for part in prosody))
    if added.any():
        held = _hold_silences(model_durations, added, energy_of(mel))
        mel, prosody = mel[:, held], Prosody(*(part[:, held] for part in prosody))
    return Rendering(
        sentence,
        speaker,
        seed,
        spoken,
        model_durations + added,
        prosody,
        mel,
        rate_hz,
    )


def _padded(values: Tensor) -> Tensor:
    """Zero-pad to a multiple of ``LENGTH_STEP``.

    Convolutions cache a plan for each length they see: few lengths keep memory bounded.
    """
    return torch.nn.functional.pad(values, (0, -values.shape[-1] % LENGTH_STEP))


def _in_frames(natural: Tensor, spoken: Phones, rate_hz: float) -> Tensor:
    """Round durations to whole frames, at least one per phone, without accumulating error."""
    limited = natural.clamp(1.0, MAX_PHONE_S * rate_hz)
    limited = torch.where(spoken.seconds.isnan(), limited, spoken.seconds * rate_hz)
    ends = limited.double().cumsum(0).round().long()
    return (ends - torch.cat((torch.zeros(1, dtype=torch.int64), ends[:-1]))).clamp_min(1)


def _hold_silences(durations: Tensor, added: Tensor, energy: Tensor) -> Tensor:
    """Index of the source frame of each frame, with silences made longer by ``added``.

    A silence repeats its quietest frame.
    """
    starts = durations.cumsum(0) - durations
    parts = []
    for start, length, more in zip(
        starts.tolist(), durations.tolist(), added.tolist(), strict=True
    ):
        quietest = start + int(energy[start : start + length].argmin())
        parts += [
            torch.arange(start, quietest + 1),
            torch.full((more,), quietest),
            torch.arange(quietest + 1, start + length),
        ]
    return torch.cat(parts)
