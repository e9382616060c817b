"""Training on the aligned toy corpus: the acoustic model, and a WaveNet on linguistic features."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS, TINY_ACOUSTIC, Toy, random_model
from safetensors.torch import load_file

from vocoder.errors import CorpusError, TrainingError
from vocoder.synthesis.speech import Speech
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.text.linguistic import CHANNELS
from vocoder.training import checkpoint, loop
from vocoder.training.config import AcousticTraining, VocoderTraining
from vocoder.training.data.acoustic_batch import collate
from vocoder.training.data.sentences import FolderSentences
from vocoder.training.tasks.acoustic import AcousticTask
from vocoder.voices import voice

RUN = {
    "name": "toy",
    "steps": 6,
    "batch_size": 4,
    "warm_up_steps": 2,
    "log_every": 2,
    "checkpoint_every": 3,
    "validate_every": 3,
    "validation_clips": 4,
}


def config(toy: Toy, vocoder: Path, output: Path, **changes: object) -> AcousticTraining:
    settings = RUN | {
        "model": TINY_ACOUSTIC,
        "vocoder": str(vocoder),
        "corpus": str(toy.corpus.folder),
        "output": str(output),
    }
    return AcousticTraining(**(settings | changes))


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    toy: Toy, vocoder_folder: Path, tmp_path: Path
) -> None:
    loop.train(config(toy, vocoder_folder, tmp_path / "whole"))
    loop.train(config(toy, vocoder_folder, tmp_path / "parts", steps=3))
    loop.train(config(toy, vocoder_folder, tmp_path / "parts"), resume=True)
    whole = load_file(tmp_path / "whole" / checkpoint.NAME)
    parts = load_file(tmp_path / "parts" / checkpoint.NAME)
    assert whole.keys() == parts.keys()
    assert TINY_ACOUSTIC.dropout
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_micro_batches_add_up_to_the_batch(toy: Toy, vocoder_folder: Path, tmp_path: Path) -> None:
    """Rows differ in length, so that micro-batches have different counts; without dropout."""
    model = TINY_ACOUSTIC.model_copy(update={"dropout": 0.0})
    losses = []
    for count in (1, 4):
        folder = tmp_path / str(count)
        settings = {"model": model, "accumulate": count, "steps": 20, "log_every": 1}
        loop.train(config(toy, vocoder_folder, folder, **settings))
        lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
        losses.append([line["mel"] for line in lines if line["event"] == "training"])
    assert len(losses[0]) == 20
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_training_makes_a_voice_that_reads_text_and_keeps_its_vocoder(
    toy: Toy, vocoder_folder: Path, tmp_path: Path
) -> None:
    folder = loop.train(
        config(
            toy,
            vocoder_folder,
            tmp_path / "toy",
            steps=200,
            learning_rate=1e-2,
            batch_size=8,
            validate_every=20,
            checkpoint_every=100,
        )
    )
    before, after = voice.load(vocoder_folder), voice.load(folder)
    weights = [found.manifest.weights[voice.VOCODER_WEIGHTS] for found in (before, after)]
    assert weights[0] == weights[1]
    assert after.digest != before.digest
    assert after.acoustic is not None
    assert after.manifest.acoustic_provenance is not None
    assert after.manifest.acoustic_provenance.steps == 200
    lines = [json.loads(line) for line in (tmp_path / "toy" / "log.jsonl").read_text().splitlines()]
    held_out = [line for line in lines if line["event"] == "validation"]
    assert held_out[-1]["mel"] < 0.7 * held_out[0]["mel"]
    assert held_out[-1]["duration_ms"] < 50
    # It has learned the speakers' F0: 190 Hz for ann, 110 Hz for ben.
    synthesizer = Synthesizer()
    assert "See" in next(iter(synthesizer.plan(Speech("See me."), voice=after))).text
    f0 = after.acoustic.f0_mean.exp()
    assert f0.tolist() == pytest.approx([190, 110], rel=0.1)


def test_free_running_samples(toy: Toy, vocoder_folder: Path, tmp_path: Path) -> None:
    loop.train(config(toy, vocoder_folder, tmp_path, steps=3, sample_every=3, sample_clips=2))
    assert len(list((tmp_path / "samples").rglob("*.wav"))) == 2


def test_a_corpus_that_does_not_fit_is_refused(
    toy: Toy, vocoder_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(toy.corpus.folder, tmp_path / "c")
    (tmp_path / "c" / "alignment.jsonl").unlink()
    with pytest.raises(CorpusError, match="vocoder align"):
        loop.train(config(toy, vocoder_folder, tmp_path / "o", corpus=str(tmp_path / "c")))
    other = random_model(CONFIGS["mu_law"].model_copy(update={"speakers": ("ann", "zoe")}))
    manifest = voice.VoiceManifest(id="x", model=other.config, weights={})
    voice.save(tmp_path / "x", other, manifest)
    with pytest.raises(TrainingError, match="the voice has no speaker ben, only ann, zoe"):
        loop.train(config(toy, tmp_path / "x", tmp_path / "o"))


def test_batches_depend_only_on_seed_step_and_row(
    toy: Toy, vocoder_folder: Path, tmp_path: Path
) -> None:
    settings = config(toy, vocoder_folder, tmp_path)
    one, other = (AcousticTask(settings, toy.corpus, torch.device("cpu")) for _ in range(2))
    one.batch(0, range(4))
    for first, second in zip(one.batch(5, range(4)), other.batch(5, range(4)), strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(one.batch(5, range(4)).noise, one.batch(6, range(4)).noise)
    assert torch.equal(one.batch(5, range(4)).time[2:], one.batch(5, range(2, 4)).time)


def test_padding_does_not_change_a_row(toy: Toy, vocoder_folder: Path, tmp_path: Path) -> None:
    task = AcousticTask(config(toy, vocoder_folder, tmp_path), toy.corpus, torch.device("cpu"))
    task.model.eval()
    assert isinstance(task.sentences, FolderSentences)
    short, long = task.sentences.all[0], task.sentences.all[-1]
    assert long.mel.shape[1] > short.mel.shape[1]
    alone = collate([short], [np.random.default_rng(0)])
    together = collate([short, long], [np.random.default_rng(0), np.random.default_rng(1)])
    with torch.no_grad():
        wanted = task.model.log_durations(task.model.encode(alone.phones), alone.phones)
        found = task.model.log_durations(task.model.encode(together.phones), together.phones)
    assert torch.allclose(wanted[0], found[0, : wanted.shape[1]], atol=1e-5)


@pytest.mark.parametrize("kind", ["logistics", "linear_prediction"])
def test_a_wavenet_trains_on_linguistic_features(toy: Toy, tmp_path: Path, kind: str) -> None:
    model = CONFIGS[kind]
    conditioning = model.conditioning.model_copy(update={"kind": "linguistic"})
    folder = loop.train(
        VocoderTraining(
            **RUN
            | {
                "model": model.model_copy(
                    update={"conditioning": conditioning, "speakers": ("default",)}
                ),
                "corpus": str(toy.corpus.folder),
                "output": str(tmp_path / "ling"),
                "steps": 60,
                "segment_frames": 8,
                "validate_every": 30,
                "sample_every": 60,
                "log_every": 10,
            }
        )
    )
    loaded = voice.load(folder)
    assert loaded.config.conditioning.linguistic_channels == CHANNELS
    lines = [
        json.loads(line) for line in (tmp_path / "ling" / "log.jsonl").read_text().splitlines()
    ]
    held_out = [line["bits"] for line in lines if line["event"] == "validation"]
    assert held_out[-1] < held_out[0] - 0.2
    if kind == "linear_prediction":
        spectrum = [line["spectrum"] for line in lines if line["event"] == "training"]
        assert spectrum[-1] < 0.7 * spectrum[0]
    reading = loop.train(config(toy, folder, tmp_path / "reads", steps=3))
    spoken = Synthesizer().speak(Speech("See me."), voice=replace(voice.load(reading)))
    assert sum(len(chunk.samples) for chunk in spoken) > 0
