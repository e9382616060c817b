"""Training models of images and of spectrograms, the kinds ``image`` and ``spectrogram``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ASSETS
from documents import ROOT
from matplotlib.image import imread
from safetensors.torch import load_file

from vocoder.corpus.manifest import Corpus
from vocoder.corpus.prepare import prepare
from vocoder.corpus.settings import PreparationConfig
from vocoder.errors import ConfigError, ImageError, TrainingError
from vocoder.pixel.config import (
    BinaryOutput,
    GatedPixelCnnConfig,
    MixtureOutput,
    NetworkConfig,
    PixelCnnPlusPlusConfig,
    PixelConfig,
    RowLstmConfig,
)
from vocoder.training import checkpoint, loop
from vocoder.training import config as configs
from vocoder.training.compare import compare
from vocoder.training.config import ImageTraining, SpectrogramTraining
from vocoder.training.data.images import Images
from vocoder.training.data.spectrograms import Spectrograms
from vocoder.training.dry_run import check
from vocoder.voices import pixel_model

SIDE = 6
GATED = GatedPixelCnnConfig(layers=1, hidden_channels=8, head_channels=16, first_kernel=3)
ROW_LSTM = RowLstmConfig(layers=1, hidden_channels=6, head_channels=12)
RUN = {
    "name": "toy",
    "steps": 6,
    "batch_size": 4,
    "warm_up_steps": 1,
    "log_every": 2,
    "checkpoint_every": 3,
    "validate_every": 3,
    "validation_clips": 2,
}


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of vertical stripes with a random phase: after the first row all is known."""
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 30), ("valid", 8), ("test", 8)):
        rows = generator.integers(2, size=(count, 1, SIDE))
        bits = np.repeat(rows, SIDE, axis=1).astype(np.uint8)
        arrays[split] = np.packbits(bits.reshape(count, -1), axis=1)
        arrays[f"{split}_labels"] = rows[:, 0, 0]
    path = tmp_path_factory.mktemp("images") / "stripes.npz"
    np.savez(path, **arrays)
    return path


def image_run(
    stripes: Path, output: Path, network: NetworkConfig = ROW_LSTM, **changes: object
) -> ImageTraining:
    classes = changes.pop("classes", 0)
    model = PixelConfig(levels=2, network=network, output=BinaryOutput(), classes=classes)
    places = {"corpus": str(stripes), "output": str(output), "model": model}
    shape = {"height": SIDE, "width": SIDE, "packed": True}
    return ImageTraining(**(RUN | places | shape | changes))


def test_the_loss_falls_and_the_model_can_be_read(stripes: Path, tmp_path: Path) -> None:
    settings = {"steps": 40, "learning_rate": 2e-2, "ema_decay": 0.8, "batch_size": 8}
    every = {"validate_every": 20, "checkpoint_every": 40, "log_every": 10, "validation_clips": 8}
    every |= {"sample_every": 40, "sample_clips": 3}
    folder = loop.train(image_run(stripes, tmp_path / "run", GATED, classes=2, **settings, **every))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    nats = [line["nats"] for line in lines if line["event"] == "validation"]
    assert nats[-1] < 10.0 < 0.5 * SIDE * SIDE * np.log(2)  # five free bits are 3.5 nats
    manifest = pixel_model.load(folder)[1]
    assert manifest.provenance.steps == 40
    assert pixel_model.load(tmp_path / "run")[1] == manifest
    (folder / pixel_model.WEIGHTS).write_bytes(b"short")
    with pytest.raises(ImageError, match="the file is damaged"):
        pixel_model.load(folder)
    with pytest.raises(ImageError, match="give the folder of a training run"):
        pixel_model.load(tmp_path)
    picture = imread(tmp_path / "run" / "samples" / "step-0000040.png")
    assert picture.std() > 0.1
    page = compare([tmp_path / "run"], tmp_path / "curves")
    assert "best held-out nats" in page.read_text()


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    stripes: Path, tmp_path: Path
) -> None:
    network = PixelCnnPlusPlusConfig(layers=1, hidden_channels=6, downsamplings=1)  # has dropout
    loop.train(image_run(stripes, tmp_path / "whole", network))
    loop.train(image_run(stripes, tmp_path / "parts", network, steps=3))
    loop.train(image_run(stripes, tmp_path / "parts", network), resume=True)
    whole = load_file(tmp_path / "whole" / checkpoint.NAME)
    parts = load_file(tmp_path / "parts" / checkpoint.NAME)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_every_epoch_has_each_image_once_in_an_order_of_its_own(
    stripes: Path, tmp_path: Path
) -> None:
    images = Images(image_run(stripes, tmp_path, batch_size=10), "train")
    epochs = [
        np.concatenate([images.drawn(step, range(10)) for step in range(first, first + 3)])
        for first in (0, 3)
    ]
    assert all(sorted(epoch) == list(range(30)) for epoch in epochs)
    assert list(epochs[0]) != list(epochs[1])
    assert np.array_equal(images.drawn(4, range(3, 6)), images.drawn(4, range(10))[3:6])


def test_a_dry_run_counts_images(stripes: Path, tmp_path: Path) -> None:
    lines = list(check(image_run(stripes, tmp_path / "run")))
    assert lines[0] == "images: 30 of 6 x 6 x 1 in the train split"
    assert any("images per second" in line for line in lines)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": "nowhere.npz"}, "nowhere.npz: No such file"),
        ({"height": 5}, r"expected uint8 \(N, 4\): 30 packed bits"),
        ({"packed": False}, r"expected integers \(N, 6, 6, 1\)"),
        ({"network": PixelCnnPlusPlusConfig(layers=1)}, "needs multiples of 4"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    stripes: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    network = changes.pop("network", ROW_LSTM)
    with pytest.raises(TrainingError, match=message):
        loop.train(image_run(stripes, tmp_path, network, **changes))  # type: ignore[arg-type]


def test_array_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    path.write_bytes(b"PK no archive")
    with pytest.raises(TrainingError, match="not an npz file"):
        Images(image_run(path, tmp_path), "train")
    np.savez(path, train=np.full((3, SIDE, SIDE, 1), 2))
    with pytest.raises(TrainingError, match="levels from 2 to 2, the model has 0 to 1"):
        Images(image_run(path, tmp_path, packed=False), "train")
    with pytest.raises(TrainingError, match="no array 'valid', only train"):
        Images(image_run(path, tmp_path, packed=False), "valid")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence of one speaker."""
    root = tmp_path_factory.mktemp("speech")
    (root / "in" / "slt").mkdir(parents=True)
    shutil.copy(ASSETS / "speech" / "slt_arctic_a0090.flac", root / "in" / "slt")
    settings = PreparationConfig(validation_fraction=0.0, test_fraction=0.0)
    prepare([root / "in"], root / "out", settings, jobs=1)
    return root / "out"


def spectrogram_run(
    speech: Path, output: Path, network: NetworkConfig = GATED, **changes: object
) -> SpectrogramTraining:
    model = PixelConfig(network=network, output=MixtureOutput(components=2))
    places = {"corpus": str(speech), "output": str(output), "model": model}
    sizes = {"segment_frames": 9, "context_frames": 5, "batch_size": 1}
    return SpectrogramTraining(**(RUN | places | sizes | changes))


def test_a_model_of_spectrograms_learns_from_a_prepared_corpus(
    speech: Path, tmp_path: Path
) -> None:
    every = {"validate_every": 10, "checkpoint_every": 40, "log_every": 10}
    every |= {"sample_every": 40, "sample_clips": 1}
    rates = {"steps": 40, "learning_rate": 3e-3, "decay_steps": 20, "ema_decay": 0.8}
    folder = loop.train(spectrogram_run(speech, tmp_path / "run", **rates, **every))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    training = [line["bits"] for line in lines if line["event"] == "training"]
    held_out = [line["bits"] for line in lines if line["event"] == "validation"]
    assert training[-1] < training[0] - 0.3
    assert held_out[-1] < held_out[0]
    model, manifest = pixel_model.load(folder)
    assert manifest.spectrograms is not None
    assert manifest.spectrograms.features == Corpus.load(speech).features
    assert model.config.channels == 1
    picture = imread(tmp_path / "run" / "samples" / "step-0000040.png")
    assert picture.std() > 0.1


def test_segments_start_with_context_and_fit_the_network(speech: Path, tmp_path: Path) -> None:
    network = PixelCnnPlusPlusConfig(layers=1, hidden_channels=4, downsamplings=2)
    spectrograms = Spectrograms(Corpus.load(speech), "train", spectrogram_run(speech, tmp_path))
    halved = Spectrograms(Corpus.load(speech), "train", spectrogram_run(speech, tmp_path, network))
    image, valid = spectrograms.segment(3, 0)
    assert image.shape == (14, 80, 1)
    assert valid.sum() in (9, 14)
    again, _ = spectrograms.segment(3, 0)
    assert torch.equal(image, again)
    assert halved.segment(3, 0)[0].shape == (16, 80, 1)
    whole, valid = halved.image(halved.utterances[0])
    assert len(whole) % 4 == 0
    assert valid.sum() == halved.utterances[0].frames
    assert (whole[valid == 0] == 0).all()


def test_only_spectrograms_of_one_channel_are_modelled(speech: Path, tmp_path: Path) -> None:
    settings = spectrogram_run(speech, tmp_path).model_dump(mode="json")
    settings["model"]["channels"] = 3
    with pytest.raises(ConfigError, match="must have channels 1"):
        SpectrogramTraining.parse(settings, "here")


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "pixel").glob("*.toml")), ids=str)
def test_the_shipped_configurations_can_be_read(path: Path) -> None:
    settings = configs.load(path)
    assert settings.kind in ("image", "spectrogram")
    assert path.stem == settings.name
