"""Mu-law companding with mu = 255 (ITU-T G.711's curve; van den Oord et al. 2016, section 2.2).

``f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu)``, then 256 evenly spaced codes. Silence is code 128.
"""

import math

import torch
from torch import Tensor

MU = 255
CLASSES = MU + 1
SILENCE = 128


def compand(audio: Tensor) -> Tensor:
    """Compand samples in [-1, 1] without quantising them."""
    return audio.sign() * torch.log1p(MU * audio.abs()) / math.log1p(MU)


def encode(audio: Tensor) -> Tensor:
    """Codes 0 to 255 (int64) of samples in [-1, 1]; samples outside are clipped.

    >>> encode(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    [0, 128, 255]
    """
    companded = compand(audio.clamp(-1.0, 1.0))
    return ((companded + 1) / 2 * MU + 0.5).floor().long()


def decode(codes: Tensor) -> Tensor:
    """Samples in [-1, 1] (float32) at the centre of each code: encoding them returns the code.

    >>> decode(torch.tensor([0, 255])).tolist()
    [-1.0, 1.0]
    """
    companded = 2 * codes.float() / MU - 1
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(MU)) / MU
