"""Whose voice is it: a speaker classifier that is trained on recordings and hears the model.

Only the one-hot is changed: each held-out sentence is spoken as every speaker from the same
features, durations and melody included, and the classifier says whom it hears.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import vocoder
from vocoder.audio.io import PCM_16_LEVELS, Samples
from vocoder.config import FeatureConfig, StrictModel
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.utterances import Split
from vocoder.errors import CorpusError, UserError
from vocoder.evaluation.evaluate import choose, read
from vocoder.features.mel import log_mel
from vocoder.progress import track
from vocoder.synthesis.synthesizer import Request, Synthesizer
from vocoder.voices.voice import Voice

CEPSTRA = 24
FLOOR_DB = 40.0
"""Frames that lie further below the loudest are not speech."""

TRAINED_ON = 200
"""Recordings of each speaker that the classifier learns from."""

ROUGH_COPIES, ROUGHNESS_DB, ENVELOPE_SAMPLES = 2, (0.0, 20.0), 320
"""Of each recording, with noise at a signal-to-noise ratio of this range under its envelope."""

DECAY = 1e-2
"""Of the classifier's weights: what it sees is standardised."""


class IdentityEvaluation(StrictModel):
    """Whom a classifier hears."""

    code_version: str = Field(description="version of this package")
    voice: str = Field(description="id of the voice")
    conditioning: str = Field(description="which features it spoke from")
    engine: str = Field(description="what generated")
    split: Split = Field(description="part of the corpus")
    sentences: int = Field(description="each spoken as every speaker")
    speakers: tuple[str, ...] = Field(description="in the order of the rows and columns below")
    recordings: float = Field(description="part of held-out recordings that it names rightly")
    named: tuple[tuple[int, ...], ...] = Field(
        description="a row for each intended speaker: how often it names each"
    )
    accuracy: float = Field(description="part of all that it names as intended")
    accuracy_of_others: float = Field(
        description="the same, where the features are of another speaker than the intended"
    )


class SpeakerClassifier:
    """Multinomial logistic regression over mean and spread of an utterance's mel cepstra.

    It knows nothing of pitch: of the spectrum's shape alone. It learns from each recording also
    with noise that follows the speech's own level, as a vocoder's does: else it would take whatever
    is rough for the reader whose recordings are the noisiest.
    """

    def __init__(self, speakers: Sequence[str], config: FeatureConfig) -> None:
        self.speakers = tuple(speakers)
        self._config = config

    def fit(self, recordings: Sequence[Samples], speakers: Sequence[int]) -> None:
        """Learn from recordings (T,) and the index of who speaks in each."""
        generator = np.random.default_rng(0)
        heard = [
            copy
            for samples in recordings
            for copy in (samples, *(_roughened(samples, generator) for _ in range(ROUGH_COPIES)))
        ]
        speakers = [speaker for speaker in speakers for _ in range(1 + ROUGH_COPIES)]
        seen = torch.stack([self._describe(samples) for samples in heard])
        self._mean, self._spread = seen.mean(0), seen.std(0).clamp_min(1e-6)
        seen, wanted = (seen - self._mean) / self._spread, torch.tensor(speakers)
        self._linear = nn.Linear(seen.shape[1], len(self.speakers))
        nn.init.zeros_(self._linear.weight)
        optimiser = torch.optim.LBFGS(self._linear.parameters(), max_iter=200)

        def loss() -> Tensor:
            optimiser.zero_grad()
            penalty = DECAY * self._linear.weight.square().sum()
            total = F.cross_entropy(self._linear(seen), wanted) + penalty
            total.backward()
            return total

        optimiser.step(loss)

    @torch.no_grad()
    def name(self, samples: Samples) -> int:
        """Index of the speaker of samples (T,)."""
        described = (self._describe(samples) - self._mean) / self._spread
        return int(self._linear(described).argmax())

    def _describe(self, samples: Samples) -> Tensor:
        mel = log_mel(torch.from_numpy(samples), self._config)
        loudness = mel.logsumexp(0)
        mel = mel[:, loudness > loudness.max() - FLOOR_DB / 10 * math.log(10)]
        # Relative to the loudest band: levels say nothing of who speaks.
        mel = mel.clamp_min(float(mel.max()) - 2 * FLOOR_DB / 10 * math.log(10))
        cepstra = _cosines(len(mel)) @ mel
        return torch.cat((cepstra.mean(1), cepstra.std(1)))


def _roughened(samples: Samples, generator: np.random.Generator) -> Samples:
    """Samples (T,) with white noise of their own envelope, at some ratio of the two."""
    kernel = np.full(ENVELOPE_SAMPLES, 1 / ENVELOPE_SAMPLES)
    envelope = np.sqrt(np.convolve(samples.astype(np.float64) ** 2, kernel, "same"))
    ratio = 10 ** (-generator.uniform(*ROUGHNESS_DB) / 20)
    noise = generator.standard_normal(len(samples))
    return (samples + ratio * envelope * noise).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _cosines(bands: int) -> Tensor:
    """Cosine transform (CEPSTRA, bands) without the level."""
    order = torch.arange(1, CEPSTRA + 1).unsqueeze(1)
    return torch.cos(math.pi * order * (torch.arange(bands) + 0.5) / bands) / bands


def evaluate_identity(
    voice: Voice,
    corpus: Corpus,
    *,
    split: Split = "test",
    per_speaker: int = 15,
    seed: int = 0,
    engine: str = "auto",
    weights: str | None = None,
) -> IdentityEvaluation:
    """Whom a classifier hears when held-out sentences are spoken as every speaker.

    Args:
        voice: with at least two speakers.
        corpus: prepared with the voice's feature settings; aligned for a linguistic voice.
        split: part of the corpus.
        per_speaker: sentences of each speaker.
        seed: of the noise.
        engine: by name, or ``auto``.
        weights: number format of the engine's weights; its own choice where None.

    Raises:
        UserError: the voice has one speaker only, or the corpus does not fit it.
    """
    if len(corpus.speakers) < 2:
        raise UserError(f"{corpus.folder}: one speaker alone cannot be told from others")
    classifier = SpeakerClassifier(corpus.speakers, voice.config.features)
    classifier.fit(*_recordings(corpus))
    held_out = read(voice, corpus, choose(voice, corpus, split, per_speaker))
    right = [
        classifier.name(each.samples) == corpus.speakers.index(each.utterance.speaker)
        for each in held_out
    ]
    synthesizer = Synthesizer(engine, weights=weights)
    named = np.zeros((len(corpus.speakers),) * 2, dtype=int)
    others: list[bool] = []
    for intended, speaker in enumerate(track(corpus.speakers, "speaking", len(corpus.speakers))):
        requests = [
            Request(each.features, speaker, seed + number) for number, each in enumerate(held_out)
        ]
        for each, samples in zip(
            held_out, synthesizer.vocode_many(requests, voice=voice), strict=True
        ):
            heard = classifier.name(samples)
            named[intended, heard] += 1
            if each.utterance.speaker != speaker:
                others.append(heard == intended)
    return IdentityEvaluation(
        code_version=vocoder.__version__,
        voice=voice.id,
        conditioning=voice.config.conditioning.kind,
        engine=synthesizer.engine_name(voice),
        split=split,
        sentences=len(held_out),
        speakers=corpus.speakers,
        recordings=sum(right) / len(right),
        named=tuple(tuple(int(count) for count in row) for row in named),
        accuracy=float(named.trace() / named.sum()),
        accuracy_of_others=sum(others) / len(others),
    )


def summary(result: IdentityEvaluation) -> str:
    """The result as a table."""
    width = max(map(len, result.speakers)) + 2
    lines = [
        f"{result.sentences} held-out sentences, each spoken as every speaker from the same "
        f"{result.conditioning} features",
        f"the classifier names {result.recordings:.1%} of the recordings rightly",
        "intended \\ heard".ljust(18) + "".join(name.rjust(width) for name in result.speakers),
    ]
    for name, row in zip(result.speakers, result.named, strict=True):
        lines.append(name.ljust(18) + "".join(str(count).rjust(width) for count in row))
    lines.append(
        f"as intended: {result.accuracy:.1%}; of another's features {result.accuracy_of_others:.1%}"
    )
    return "\n".join(lines)


def _recordings(corpus: Corpus) -> tuple[list[Samples], list[int]]:
    recordings, speakers = [], []
    for index, speaker in enumerate(corpus.speakers):
        own = [utterance for utterance in corpus.split("train") if utterance.speaker == speaker]
        if not own:
            raise CorpusError(f"{corpus.folder}: speaker {speaker} has nothing to learn from")
        for utterance in own[:: max(1, len(own) // TRAINED_ON)]:
            samples = corpus.read(utterance)[0].numpy() / np.float32(PCM_16_LEVELS)
            recordings.append(np.asarray(samples, dtype=np.float32))
            speakers.append(index)
    return recordings, speakers
