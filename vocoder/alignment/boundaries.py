"""Boundaries of phones, placed by a hidden Markov model with Gaussian emissions.

A network that was trained to tell phones apart is sure of them long before they end: its alignment
says what comes where, but not when exactly. Gaussians do not suffer from that. Each phone has three
states in a row, each state a Gaussian over cepstra; states and alignment are estimated in turn
(Viterbi training, Juang and Rabiner 1990), beginning with the aligner's.
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
LEAST_VARIANCE = 0.05
"""Floor of a state's variance, as a part of the mean over states."""

LEAST_COUNT = 30
"""Observations below which a state's variance is not its own."""

FORBIDDEN = -1e4


class Placed(NamedTuple):
    """One utterance: what was observed, and which label lasts how long.

    Attributes:
        observations: of :func:`observe` (F * parts, D).
        labels: of the aligner (N,), int64.
        durations: frames of each label (N,), int64, at least 1, F in all.
    """

    observations: Tensor
    labels: Tensor
    durations: Tensor


def parts_of_a_frame(config: FeatureConfig) -> int:
    """Observations a frame: as many as are nearest to one every 6.25 ms and divide the hop."""
    wanted = config.hop_length / config.sample_rate_hz / STEP_S
    divisors = [n for n in range(1, 33) if config.hop_length % n == 0]
    return min(divisors, key=lambda n: abs(n - wanted))


def observe(audio: Tensor, config: FeatureConfig) -> Tensor:
    """Cepstra and their first and second differences, without their mean.

    Args:
        audio: (T,), float32.
        config: of the corpus.

    Returns:
        (F * parts, 3 * CEPSTRA).
    """
    hop = config.hop_length // parts_of_a_frame(config)
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


def place(utterances: Sequence[Placed], parts: int, passes: int = 6) -> list[Tensor]:
    """Durations of every label of every utterance, estimated from all of them together.

    Args:
        utterances: with their first alignments.
        parts: observations a frame.
        passes: how often states and alignments are estimated.

    Returns:
        Frames of each label (N,), int64, at least 1; as given where F is too short for its states.
    """
    paths = [_even_path(utterance, parts) for utterance in utterances]
    for number in range(passes):
        gaussians = _estimate(utterances, paths)
        what = f"placing boundaries, pass {number + 1} of {passes}"
        paths = [
            _viterbi(utterance, path, *gaussians)
            for utterance, path in track(zip(utterances, paths, strict=True), what, len(utterances))
        ]
    pairs = zip(utterances, paths, strict=True)
    return [_durations(utterance, path, parts) for utterance, path in pairs]


def _states(labels: Tensor) -> Tensor:
    """States of labels in order (N,) -> (N * STATES,)."""
    return (labels[:, None] * STATES + torch.arange(STATES)).reshape(-1)


def _even_path(utterance: Placed, parts: int) -> Tensor:
    """State of each observation where each label's states last equally long."""
    lengths = utterance.durations * parts
    owner = torch.repeat_interleave(lengths)
    within = torch.arange(len(owner)) - (lengths.cumsum(0) - lengths)[owner]
    return utterance.labels[owner] * STATES + within * STATES // lengths[owner]


def _estimate(utterances: Sequence[Placed], paths: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
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
    least_one = number.clamp_min(1)[:, None]
    mean = total / least_one
    variance = squares / least_one - mean.square()
    seen = number >= LEAST_COUNT
    usual = variance[seen].mean(0) if seen.any() else variance.mean(0).clamp_min(1e-3)
    variance = torch.where(seen[:, None], variance.maximum(LEAST_VARIANCE * usual), 2 * usual)
    return mean, variance


def _viterbi(utterance: Placed, path: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """The best path through the utterance's states; ``path`` where it is too short for them."""
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


def _durations(utterance: Placed, path: Tensor, parts: int) -> Tensor:
    """Frames of each label from the state of each observation."""
    first_states = utterance.labels * STATES
    changed = torch.cat((torch.tensor([True]), path[1:] != path[:-1]))
    starts = torch.nonzero(changed)[::STATES, 0]
    if len(starts) != len(first_states) or not torch.equal(path[starts], first_states):
        return utterance.durations
    frames, count = len(path) // parts, len(starts)
    edges = (starts.double() / parts).round().long()
    # Each label keeps at least a frame: push edges right from the start, left from the end.
    index = torch.arange(count)
    edges = (edges - index).cummax(0).values + index
    edges = edges.minimum(frames - count + index)
    return torch.diff(edges, append=torch.tensor([frames]))
