"""Log-mel and F0 analysis, and the feature file, which records the analysis settings.

Frame f describes samples [f * hop, (f + 1) * hop); its window is centred on them, with zeros beyond
the ends. F frames therefore represent exactly F * hop samples.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from vocoder import files
from vocoder.audio.io import Samples
from vocoder.config import FeatureConfig
from vocoder.errors import FeatureError
from vocoder.features.f0 import f0_contour
from vocoder.features.mel import log_mel

LARGEST_LOG_MEL = 20.0
LONGEST_HEADER_BYTES = 2**16
"""Of a feature file: it has three tensors at most, and some twenty settings."""

LAYOUT_KEY = "linguistic"
"""Metadata key of the linguistic features' channel layout."""


@dataclass(frozen=True)
class Features:
    """The features that condition a vocoder.

    Attributes:
        mel: log-mel (n_mels, F), float32; F is 0 without a mel.
        f0: fundamental frequency in Hz (F,), float32, 0 where unvoiced; None if not analysed.
        config: the settings of the analysis.
        linguistic: linguistic features (C, F), float32; None if not made from text.
        layout: the linguistic features' channel layout; see :mod:`vocoder.text.linguistic`.
        length: number of frames without mel and linguistic features; a model without local
            conditioning needs no more.
    """

    mel: Tensor
    config: FeatureConfig
    f0: Tensor | None = None
    linguistic: Tensor | None = None
    layout: str | None = None
    length: int = 0

    @property
    def frames(self) -> int:
        """Number of frames F."""
        if self.linguistic is not None:
            return self.linguistic.shape[-1]
        return self.mel.shape[-1] or self.length

    @classmethod
    def lasting(cls, seconds: float, config: FeatureConfig) -> "Features":
        """Features with a length only, for a model without local conditioning.

        Raises:
            FeatureError: ``seconds`` is not a positive number.
        """
        if not (math.isfinite(seconds) and seconds > 0):
            raise FeatureError(f"seconds {seconds:g} is not a positive number", param="seconds")
        frames = config.frames(round(seconds * config.sample_rate_hz))
        return cls(torch.empty(config.n_mels, 0), config, length=max(1, frames))


def analyze(samples: Samples, config: FeatureConfig, *, with_f0: bool = True) -> Features:
    """Extract the features of mono samples (T,) at the configured rate.

    Raises:
        FeatureError: there are no samples.
    """
    if samples.size == 0:
        raise FeatureError("no samples to analyse")
    f0 = torch.from_numpy(f0_contour(samples, config)) if with_f0 else None
    return Features(mel=log_mel(torch.from_numpy(samples), config), config=config, f0=f0)


def joined(parts: Sequence[Features]) -> Features:
    """Concatenate features; all parts have the same kinds and settings."""
    first = parts[0]
    f0 = [part.f0 for part in parts if part.f0 is not None]
    linguistic = [part.linguistic for part in parts if part.linguistic is not None]
    return Features(
        torch.cat([part.mel for part in parts], dim=1),
        first.config,
        torch.cat(f0) if f0 else None,
        torch.cat(linguistic, dim=1) if linguistic else None,
        first.layout,
    )


def validate_mel(mel: Tensor, config: FeatureConfig) -> Tensor:
    """Return ``mel`` as float32 (n_mels, F) if a vocoder with ``config`` can use it.

    Raises:
        FeatureError: wrong rank or number of bands, no frames, values not finite or out of range.
    """
    if mel.ndim != 2 or mel.shape[0] != config.n_mels:
        raise FeatureError(
            f"mel has shape {tuple(mel.shape)}, expected ({config.n_mels}, frames)", param="mel"
        )
    if mel.shape[1] == 0:
        raise FeatureError("mel has no frames: give at least one", param="mel")
    if not mel.dtype.is_floating_point:
        raise FeatureError(f"mel is {mel.dtype}, expected float32", param="mel")
    mel = mel.float()
    finite = torch.isfinite(mel)
    if not finite.all():
        band, frame = (int(i) for i in (~finite).nonzero()[0])
        raise FeatureError(
            f"mel is {mel[band, frame].item()} at band {band}, frame {frame}: "
            "every value must be finite",
            param="mel",
        )
    if float(mel.max()) > LARGEST_LOG_MEL:
        raise FeatureError(
            f"mel reaches {float(mel.max()):.1f}, expected at most {LARGEST_LOG_MEL:g}: "
            "give the natural logarithm of power, not power or decibels",
            param="mel",
        )
    return mel


def validate_linguistic(linguistic: Tensor, channels: int) -> Tensor:
    """Return linguistic features as float32 (C, F) if a vocoder can use them.

    Raises:
        FeatureError: wrong rank or number of channels, no frames, or values not finite.
    """
    if linguistic.ndim != 2 or linguistic.shape[0] != channels or not linguistic.shape[1]:
        raise FeatureError(
            f"linguistic has shape {tuple(linguistic.shape)}, expected ({channels}, frames)",
            param="linguistic",
        )
    linguistic = linguistic.float()
    if not torch.isfinite(linguistic).all():
        raise FeatureError("linguistic: every value must be finite", param="linguistic")
    return linguistic


def check_fingerprint(found: dict[str, str], config: FeatureConfig) -> None:
    """Compare a feature file's settings with those of a voice.

    Raises:
        FeatureError: a setting is missing or differs; the message shows the first and both values.
    """
    for key, expected in config.fingerprint().items():
        if key not in found:
            raise FeatureError(f"the features' fingerprint lacks {key}", param=key)
        if found[key] != expected:
            raise FeatureError(
                f"features were made with {key} {found[key]}, the voice needs {expected}", param=key
            )


def serialize(features: Features) -> bytes:
    """The bytes of a feature file: safetensors with the fingerprint as metadata.

    It contains the tensors ``mel``, ``f0`` and ``linguistic``, as far as present.
    """
    mel = features.mel if features.mel.shape[-1] else None
    given = {"mel": mel, "f0": features.f0, "linguistic": features.linguistic}
    tensors = {name: tensor.contiguous() for name, tensor in given.items() if tensor is not None}
    layout = {} if features.layout is None else {LAYOUT_KEY: features.layout}
    return save_safetensors(tensors, metadata=features.config.fingerprint() | layout)


def deserialize(data: bytes, config: FeatureConfig) -> Features:
    """Parse the bytes of a feature file for a voice with ``config``.

    Raises:
        FeatureError: not safetensors, neither ``mel`` nor ``linguistic``, a different fingerprint,
            or invalid values.
    """
    if int.from_bytes(data[:8], "little") > LONGEST_HEADER_BYTES:
        raise FeatureError(
            f"not a feature file: its header is longer than {LONGEST_HEADER_BYTES} bytes",
            param="mel",
        )
    try:
        metadata = _metadata(data)
        tensors = load_safetensors(data)
    except (safetensors.SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise FeatureError(f"not a feature file: {error}", param="mel") from None
    mel, linguistic = tensors.get("mel"), tensors.get("linguistic")
    if mel is None and linguistic is None:
        raise FeatureError("feature file has no tensor named mel or linguistic", param="mel")
    check_fingerprint(metadata, config)
    mel = torch.empty(config.n_mels, 0) if mel is None else validate_mel(mel, config)
    return Features(mel, config, tensors.get("f0"), linguistic, metadata.get(LAYOUT_KEY))


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length].decode("utf-8"))
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        return {}
    return {str(key): str(value) for key, value in metadata.items()}


def save(path: Path, features: Features) -> None:
    """Write a feature file atomically."""
    files.write_bytes(path, serialize(features))


def load(path: Path, config: FeatureConfig) -> Features:
    """Read a feature file for a voice with ``config``.

    Raises:
        FeatureError: no such file, or an invalid one; see :func:`deserialize`.
    """
    if not path.is_file():
        raise FeatureError(f"{path}: no such file")
    try:
        return deserialize(path.read_bytes(), config)
    except FeatureError as error:
        raise FeatureError(f"{path.name}: {error}", param=error.param) from None
