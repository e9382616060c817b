"""Outputs of a run: the exported voice, its provenance, and free-running audio samples."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import vocoder
from vocoder import plots
from vocoder.audio import io as audio
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import ShardedCorpus
from vocoder.generation import dispatch
from vocoder.generation.noise import Noise
from vocoder.training.config import TrainingConfig, VocoderTraining
from vocoder.training.data.segments import Segments
from vocoder.training.log import RunLog
from vocoder.voices import voice
from vocoder.wavenet.filter_bank import BandSynthesis
from vocoder.wavenet.model import WaveNet

LONGEST_S = 3.0


def export(
    folder: Path, model: WaveNet, config: VocoderTraining, provenance: voice.Provenance
) -> None:
    """Write ``model`` as a voice."""
    manifest = voice.VoiceManifest(
        id=config.name,
        name=config.voice.name,
        licence=config.voice.licence,
        model=model.config,
        generation=config.generation,
        weights={},
        provenance=provenance,
    )
    voice.save(folder, model, manifest)


def provenance(
    config: TrainingConfig,
    corpus: Corpus | ShardedCorpus,
    step: int,
    log: RunLog,
    described: Iterable[voice.Source] = (),
) -> voice.Provenance:
    """The provenance of a run: its data, settings and latest metrics."""
    return voice.Provenance(
        sources=sources_of(corpus, described),
        steps=step,
        code_version=vocoder.__version__,
        training=config.recorded(),
        metrics={key: round(value, 5) for key, value in log.latest.items()},
    )


def sources_of(
    corpus: Corpus | ShardedCorpus, described: Iterable[voice.Source]
) -> tuple[voice.Source, ...]:
    """The training data per speaker, with hours of the train split; details from ``described``."""
    known = {source.speaker: source for source in described}
    sources = []
    for speaker, hours in corpus.hours("train").items():
        source = known.get(speaker) or voice.Source(speaker=speaker, name=corpus.name, licence="")
        sources.append(source.model_copy(update={"hours": round(hours, 3)}))
    return tuple(sources)


def _joined(samples: Tensor, bands: int) -> Tensor:
    """Audio (T,) from band samples (T,)."""
    synthesis = BandSynthesis(bands)
    return torch.from_numpy(np.concatenate((synthesis.push(samples.numpy()), synthesis.flush())))


def generate(log: RunLog, step: int, model: WaveNet, held_out: Segments, count: int) -> None:
    """Generate held-out clips free-running from their features: WAV, TensorBoard, spectrograms.

    The clips run in one batch, each for at most ``LONGEST_S``, without spectral correction, so that
    they show what the network itself does.
    """
    config, utterances = model.config.features, held_out.utterances
    rate, hop = config.sample_rate_hz, config.hop_length
    chosen = utterances[:: max(1, len(utterances) // count)][:count]
    frames = min(min(u.frames for u in chosen), round(LONGEST_S * rate / hop))
    read = [held_out.read(utterance) for utterance in chosen]
    features = torch.stack([own[:, :frames] for _, own in read]).to(model.device)
    speakers = torch.stack([held_out.global_conditioning(utterance) for utterance in chosen])
    engine = dispatch.create(model)
    noise = Noise(torch.arange(len(chosen), device=model.device), frames * hop)
    conditioning = model.condition(features, speakers.to(model.device))
    generated = engine.generate(engine.start(len(chosen)), conditioning, noise).cpu()
    if model.config.bands > 1:
        generated = torch.stack([_joined(row, model.config.bands) for row in generated])
    for utterance, (pcm, _), samples in zip(chosen, read, generated, strict=True):
        name = f"{utterance.speaker}-{utterance.id}"
        recording = (pcm[: frames * hop].float() / audio.PCM_16_LEVELS).numpy()
        folder = log.folder / "samples" / f"step-{step:07d}"
        audio.write(folder / f"{name}.wav", samples.numpy(), rate)
        figure = plots.training_sample(recording, samples.numpy(), rate, f"{name}, step {step}")
        plots.save(folder / f"{name}.png", figure)
        log.board.add_audio(name, samples, step, sample_rate=rate)
        log.board.add_figure(name, figure, step)
