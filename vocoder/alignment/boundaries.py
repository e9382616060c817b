"""Refine phone boundaries with a hidden Markov model that has Gaussian emissions.

A network trained to classify phones is certain of each one long before it ends: its alignment has
the right order but inexact times. Gaussians do not have this bias. Each phone is three states in
sequence, each a Gaussian over cepstra. States and alignment are estimated alternately (Viterbi
training, Juang and Rabiner 1990), starting from the aligner's alignment.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torchaudio
from torch import Tensor

from vocoder.alignment.model import repeats
from vocoder.config import FeatureConfig
from vocoder.features.mel import log_mel
from vocoder.progress import track
from vocoder.text.phone_labels import LABELS

STATES = 3
CEPSTRA, BANDS, DELTA_WINDOW = 13, 26, 5
WINDOW_S, STEP_S = 0.025, 0.00625
MIN_VARIANCE = 0.05
"""Floor of a state's variance, as a fraction of the mean over states."""

MIN_COUNT = 30
"""Observations a state needs for a variance estimate of its own."""

FORBIDDEN = -1e4


class ObservedUtterance(NamedTuple):
    """The observations of one utterance and its initial alignment.

    Attributes:
        observations: from :func:`observe` (F * parts, D).
        labels: the aligner's labels (N,), int64.
        durations: frames of each label (N,), int64, at least 1; they sum to F.
    """

    observations: Tensor
    labels: Tensor
    durations: Tensor


def observations_per_frame(config: FeatureConfig) -> int:
    """Observations per frame: the divisor of the hop that is closest to one every 6.25 ms."""
    wanted = config.hop_length / config.sample_rate_hz / STEP_S
    divisors = [n for n in range(1, 33) if config.hop_length % n == 0]
    return min(divisors, key=lambda n: abs(n - wanted))


def observe(audio: Tensor, config: FeatureConfig) -> Tensor:
    """Compute cepstra and their first and second differences, with the mean removed.

    Args:
        audio: (T,), float32.
        config: feature settings of the corpus.

    Returns:
        (F * parts, 3 * CEPSTRA).
    """
    hop = config.hop_length // observations_per_frame(config)
    window = round(WINDOW_S * config.sample_rate_hz)
    n_fft = max(64, 2 ** (window - 1).bit_length())
    finer = FeatureConfig(
        sample_rate_hz=config.sample_rate_hz,
        n_fft=n_fft + (n_fft - hop) % 2,
        win_length=max(window, hop),
        hop_length=hop,
        n_mels=BANDS,
        f_max_hz=config.sample_rate_hz / 2,
    )
    dct = torchaudio.functional.create_dct(CEPSTRA, BANDS, "ortho")
    cepstra = (log_mel(audio, finer).T @ dct).T
    first = torchaudio.functional.compute_deltas(cepstra[None], DELTA_WINDOW)[0]
    second = torchaudio.functional.compute_deltas(first[None], DELTA_WINDOW)[0]
    observations = torch.cat((cepstra, first, second)).T
    return observations - observations.mean(0)


def refine(utterances: Sequence[ObservedUtterance], parts: int, passes: int = 6) -> list[Tensor]:
    """Re-estimate the durations of all utterances together.

    Args:
        utterances: with their initial alignments.
        parts: observations per frame.
        passes: how often to estimate states and alignments.

    Returns:
        Frames of each label (N,), int64, at least 1, for each utterance; unchanged for an utterance
        too short for its states.
    """
    paths = [_even_path(utterance, parts) for utterance in utterances]
    for number in range(passes):
        gaussians = _estimate(utterances, paths)
        what = f"refining boundaries, pass {number + 1} of {passes}"
        paths = [
            _viterbi(utterance, path, *gaussians)
            for utterance, path in track(zip(utterances, paths, strict=True), what, len(utterances))
        ]
    pairs = zip(utterances, paths, strict=True)
    return [_durations(utterance, path, parts) for utterance, path in pairs]


def _states(labels: Tensor) -> Tensor:
    """The states of labels in order: (N,) -> (N * STATES,)."""
    return (labels[:, None] * STATES + torch.arange(STATES)).reshape(-1)


def _even_path(utterance: ObservedUtterance, parts: int) -> Tensor:
    """State of each observation if the states of a label last equally long."""
    lengths = utterance.durations * parts
    owner = torch.repeat_interleave(lengths)
    within = torch.arange(len(owner)) - (lengths.cumsum(0) - lengths)[owner]
    return utterance.labels[owner] * STATES + within * STATES // lengths[owner]


def _estimate(
    utterances: Sequence[ObservedUtterance], paths: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Mean and variance of each state (LABELS * STATES, D), float64."""
    count, width = LABELS * STATES, utterances[0].observations.shape[1]
    number = torch.zeros(count, dtype=torch.float64)
    total = torch.zeros(count, width, dtype=torch.float64)
    squares = torch.zeros_like(total)
    for utterance, path in zip(utterances, paths, strict=True):
        observed = utterance.observations.double()
        number.index_add_(0, path, torch.ones(len(path), dtype=torch.float64))
        total.index_add_(0, path, observed)
        squares.index_add_(0, path, observed.square())
    divisor = number.clamp_min(1)[:, None]
    mean = total / divisor
    variance = squares / divisor - mean.square()
    seen = number >= MIN_COUNT
    usual = variance[seen].mean(0) if seen.any() else variance.mean(0).clamp_min(1e-3)
    variance = torch.where(seen[:, None], variance.maximum(MIN_VARIANCE * usual), 2 * usual)
    return mean, variance


def _viterbi(utterance: ObservedUtterance, path: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """The best path through the utterance's states; ``path`` if the utterance is too short."""
    states = _states(utterance.labels)
    if len(path) < len(states) + repeats(utterance.labels):
        return path
    observed, inverse = utterance.observations.double(), 1 / variance
    distance = (
        observed.square() @ inverse.T
        - 2 * observed @ (mean * inverse).T
        + (mean.square() * inverse + variance.log()).sum(1)
    )
    blank = torch.full((len(path), 1), FORBIDDEN)
    scores = torch.cat((blank, (-0.5 * distance).float()), 1)[None]
    found, _ = torchaudio.functional.forced_align(scores, (states + 1)[None].int(), blank=0)
    return found[0].long() - 1


def _durations(utterance: ObservedUtterance, path: Tensor, parts: int) -> Tensor:
    """Frames of each label from the state of each observation."""
    first_states = utterance.labels * STATES
    changed = torch.cat((torch.tensor([True]), path[1:] != path[:-1]))
    starts = torch.nonzero(changed)[::STATES, 0]
    if len(starts) != len(first_states) or not torch.equal(path[starts], first_states):
        return utterance.durations
    frames, count = len(path) // parts, len(starts)
    edges = (starts.double() / parts).round().long()
    # Each label keeps at least one frame: push edges right from the start and left from the end.
    index = torch.arange(count)
    edges = (edges - index).cummax(0).values + index
    edges = edges.minimum(frames - count + index)
    return torch.diff(edges, append=torch.tensor([frames]))
