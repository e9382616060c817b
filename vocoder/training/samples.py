"""What a run makes besides weights: the voice so far, and audio that it speaks free-running."""

from pathlib import Path

import torch

import vocoder
from vocoder import voice
from vocoder.audio import PCM_16_LEVELS
from vocoder.corpus.manifest import Corpus
from vocoder.training.config import TrainingConfig
from vocoder.training.log import RunLog
from vocoder.wavenet.model import WaveNet


def export(
    folder: Path, model: WaveNet, config: TrainingConfig, corpus: Corpus, step: int, log: RunLog
) -> None:
    """Write ``model`` as a voice that names its corpus, settings and latest figures."""
    hours: dict[str, float] = {}
    for utterance in corpus.split("train"):
        seconds = utterance.samples / corpus.features.sample_rate_hz
        hours[utterance.speaker] = hours.get(utterance.speaker, 0.0) + seconds / 3600
    provenance = voice.Provenance(
        sources=tuple(
            voice.Source(speaker=speaker, name=corpus.folder.name, licence="", hours=round(value, 3))
            for speaker, value in hours.items()
        ),
        steps=step,
        code_version=vocoder.__version__,
        training=config.model_dump(mode="json", exclude={"model", "corpus", "output"}),
        metrics={key: round(value, 5) for key, value in log.latest.items()},
    )
    manifest = voice.VoiceManifest(
        id=config.name, model=model.config, weights={}, provenance=provenance
    )
    voice.save(folder, model, manifest)
