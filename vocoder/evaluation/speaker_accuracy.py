"""Speaker accuracy of a voice: does a classifier trained on recordings recognise each speaker?

Each held-out sentence is spoken as every speaker from the same features, which fix durations and
F0: only the speaker's one-hot changes. The classifier then identifies the speaker.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field

import vocoder
from vocoder import tables
from vocoder.audio.io import PCM_16_LEVELS, Samples
from vocoder.config import FeatureConfig, StrictModel
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.utterances import Split
from vocoder.errors import CorpusError, UserError
from vocoder.evaluation.evaluate import choose, read
from vocoder.evaluation.metrics import cosine_transform
from vocoder.features.mel import log_mel
from vocoder.progress import track
from vocoder.synthesis.synthesizer import Request, Synthesizer
from vocoder.voices.voice import Voice

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

FLOOR_DB = 40.0
"""Frames further below the loudest one are not speech."""

TRAINING_RECORDINGS = 200
"""Recordings per speaker that the classifier is trained on."""

NOISY_COPIES, NOISE_RATIO_DB, ENVELOPE_SAMPLES = 2, (0.0, 20.0), 320
"""Noisy copies of each recording: how many, their signal-to-noise ratios, and the window of the
envelope that shapes the noise."""

WEIGHT_DECAY = 1e-2
"""L2 penalty on the classifier's weights; its inputs are standardised."""


class SpeakerEvaluation(StrictModel):
    """The result of :func:`evaluate_speakers`."""

    code_version: str = Field(description="version of this package")
    voice: str = Field(description="id of the voice")
    conditioning: str = Field(description="kind of features the voice spoke from")
    engine: str = Field(description="engine that generated the audio")
    split: Split = Field(description="part of the corpus")
    sentences: int = Field(description="number of sentences, each spoken as every speaker")
    speakers: tuple[str, ...] = Field(description="in the order of the rows and columns below")
    recordings: float = Field(description="fraction of held-out recordings identified correctly")
    named: tuple[tuple[int, ...], ...] = Field(
        description="confusion matrix: one row per intended speaker, one column per identified one"
    )
    accuracy: float = Field(description="fraction of all utterances identified as intended")
    accuracy_of_others: float = Field(
        description="the same over utterances whose features are from another speaker"
    )


class SpeakerClassifier:
    """Multinomial logistic regression on the mean and spread of an utterance's mel cepstra.

    It sees only the shape of the spectrum, not the pitch. It is also trained on copies with noise
    that follows the level of the speech, like a vocoder's noise. Otherwise it would take any noisy
    audio for the speaker with the noisiest recordings.
    """

    def __init__(self, speakers: Sequence[str], config: FeatureConfig) -> None:
        self.speakers = tuple(speakers)
        self._config = config

    def fit(self, recordings: Sequence[Samples], speakers: Sequence[int]) -> None:
        """Train on recordings (T,) and the index of each one's speaker."""
        # Imported here: scikit-learn takes seconds to import, and only evaluation needs it.
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        generator = np.random.default_rng(0)
        copies = [
            copy
            for samples in recordings
            for copy in (samples, *(_with_noise(samples, generator) for _ in range(NOISY_COPIES)))
        ]
        labels = np.repeat(speakers, 1 + NOISY_COPIES)
        # C weighs the summed loss against half the squared weights.
        regression = LogisticRegression(C=1 / (2 * WEIGHT_DECAY * len(labels)), max_iter=1000)
        self._model: Pipeline = make_pipeline(StandardScaler(), regression)
        self._model.fit(np.stack([self._describe(samples) for samples in copies]), labels)

    def identify(self, samples: Samples) -> int:
        """Index of the most likely speaker of samples (T,)."""
        return int(self._model.predict(self._describe(samples)[None])[0])

    def _describe(self, samples: Samples) -> np.ndarray:
        """Mean and standard deviation of the mel cepstra over the frames of speech (2 CEPSTRA,)."""
        mel = log_mel(torch.from_numpy(samples), self._config)
        loudness = mel.logsumexp(0)
        mel = mel[:, loudness > loudness.max() - FLOOR_DB / 10 * math.log(10)]
        # Relative to the loudest band: levels say nothing about the speaker.
        mel = mel.clamp_min(float(mel.max()) - 2 * FLOOR_DB / 10 * math.log(10))
        cepstra = cosine_transform(len(mel)) @ mel.double().numpy()
        return np.concatenate((cepstra.mean(1), cepstra.std(1)))


def _with_noise(samples: Samples, generator: np.random.Generator) -> Samples:
    """Samples (T,) plus white noise shaped by their own envelope, at a random level."""
    kernel = np.full(ENVELOPE_SAMPLES, 1 / ENVELOPE_SAMPLES)
    envelope = np.sqrt(np.convolve(samples.astype(np.float64) ** 2, kernel, "same"))
    ratio = 10 ** (-generator.uniform(*NOISE_RATIO_DB) / 20)
    noise = generator.standard_normal(len(samples))
    return (samples + ratio * envelope * noise).astype(np.float32)


def evaluate_speakers(
    voice: Voice,
    corpus: Corpus,
    *,
    split: Split = "test",
    per_speaker: int = 15,
    seed: int = 0,
    engine: str = "auto",
    weights: str | None = None,
) -> SpeakerEvaluation:
    """Speak held-out sentences as every speaker and identify the speaker of each.

    Args:
        voice: a voice with at least two speakers.
        corpus: prepared with the voice's feature settings; aligned for a linguistic voice.
        split: part of the corpus.
        per_speaker: sentences per speaker.
        seed: seed of the first sentence's noise.
        engine: name of an engine, or ``auto``.
        weights: number format of the engine's weights; None for the engine's default.

    Raises:
        UserError: the corpus has only one speaker, or does not fit the voice.
    """
    if len(corpus.speakers) < 2:
        raise UserError(f"{corpus.folder}: has one speaker; speaker accuracy needs at least two")
    classifier = SpeakerClassifier(corpus.speakers, voice.config.features)
    classifier.fit(*_training_recordings(corpus))
    held_out = read(voice, corpus, choose(voice, corpus, split, per_speaker))
    correct = [
        classifier.identify(each.samples) == corpus.speakers.index(each.utterance.speaker)
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
            identified = classifier.identify(samples)
            named[intended, identified] += 1
            if each.utterance.speaker != speaker:
                others.append(identified == intended)
    return SpeakerEvaluation(
        code_version=vocoder.__version__,
        voice=voice.id,
        conditioning=voice.config.conditioning.kind,
        engine=synthesizer.engine_name(voice),
        split=split,
        sentences=len(held_out),
        speakers=corpus.speakers,
        recordings=sum(correct) / len(correct),
        named=tuple(tuple(int(count) for count in row) for row in named),
        accuracy=float(named.trace() / named.sum()),
        accuracy_of_others=sum(others) / len(others),
    )


def summary(result: SpeakerEvaluation) -> str:
    """The result as plain text for a terminal."""
    rows = [
        [speaker, *map(str, row)]
        for speaker, row in zip(result.speakers, result.named, strict=True)
    ]
    return "\n".join(
        [
            f"{result.sentences} held-out sentences, each spoken as every speaker from the same "
            f"{result.conditioning} features",
            f"recordings identified correctly: {result.recordings:.1%}",
            tables.plain(["intended \\ identified", *result.speakers], rows),
            f"identified as intended: {result.accuracy:.1%}; from another speaker's features "
            f"{result.accuracy_of_others:.1%}",
        ]
    )


def _training_recordings(corpus: Corpus) -> tuple[list[Samples], list[int]]:
    """Recordings of the train split, and the index of each one's speaker."""
    recordings, speakers = [], []
    for index, speaker in enumerate(corpus.speakers):
        own = [utterance for utterance in corpus.split("train") if utterance.speaker == speaker]
        if not own:
            raise CorpusError(
                f"{corpus.folder}: speaker {speaker} has no utterance in the train split"
            )
        for utterance in own[:: max(1, len(own) // TRAINING_RECORDINGS)]:
            samples = corpus.read(utterance)[0].numpy() / np.float32(PCM_16_LEVELS)
            recordings.append(np.asarray(samples, dtype=np.float32))
            speakers.append(index)
    return recordings, speakers
