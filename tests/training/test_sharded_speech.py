"""Training acoustic models and recognisers on sharded corpora."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from buzzing import shard_small
from conftest import CONFIGS, TINY_ACOUSTIC, Toy
from safetensors.torch import load_file

from vocoder.corpus.manifest import Corpus
from vocoder.corpus.sharding import INDEX_FILE, shard
from vocoder.corpus.shards import ShardedCorpus, ShardSettings
from vocoder.errors import CorpusError, TrainingError
from vocoder.recognition.model import RecogniserConfig
from vocoder.training import checkpoint, loop
from vocoder.training.config import AcousticTraining, RecogniserTraining
from vocoder.training.data.sentences import BUCKET, FolderSentences, ShardedSentences

SPEAKERS = ("ann", "ben")
RUN = {
    "name": "toy",
    "steps": 6,
    "batch_size": 2,
    "warm_up_steps": 2,
    "log_every": 2,
    "checkpoint_every": 3,
    "validate_every": 3,
    "validation_clips": 4,
    "shards": {"shuffle": 2},
}


@pytest.fixture(scope="module")
def shards(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy corpus in several small shards."""
    folder = tmp_path_factory.mktemp("shards")
    shard_small(toy.corpus, folder)
    assert len(list(folder.glob("train-*.tar"))) > 2
    return folder


def acoustic(shards: Path, vocoder: Path, output: Path, **changes: object) -> AcousticTraining:
    places = {"vocoder": str(vocoder), "corpus": str(shards), "output": str(output)}
    return AcousticTraining(**(RUN | places | {"model": TINY_ACOUSTIC} | changes))


@pytest.fixture
def sentences(shards: Path, vocoder_folder: Path, tmp_path: Path) -> ShardedSentences:
    settings = acoustic(shards, vocoder_folder, tmp_path)
    return ShardedSentences(ShardedCorpus(str(shards), settings.shards), settings, SPEAKERS)


def test_the_index_holds_the_statistics_of_the_whole_corpus(
    toy: Toy, vocoder_folder: Path, sentences: ShardedSentences, tmp_path: Path
) -> None:
    settings = acoustic(toy.corpus.folder, vocoder_folder, tmp_path)
    read = FolderSentences(toy.corpus, settings, SPEAKERS)
    values = [row.log_f0[row.voiced > 0] for row in read.all if int(row.speaker) == 1]
    ben = read.statistics.f0_range("ben")
    assert ben.mean == pytest.approx(float(torch.cat(values).mean()), rel=1e-5)
    assert ben.spread == pytest.approx(max(0.02, float(torch.cat(values).std())), rel=1e-3)
    assert sentences.statistics.symbols == read.statistics.symbols
    assert sentences.statistics.f0_range("ben").mean == pytest.approx(ben.mean, rel=1e-9)


def test_each_group_is_read_once_in_batches_of_similar_length(sentences: ShardedSentences) -> None:
    spreads, group_spreads = [], []
    for group in range(6):
        picked = [u.frames for u in sentences._group(group)]
        batches = [
            [row.mel.shape[1] for row in sentences.rows(step, range(2))]
            for step in range(group * BUCKET, (group + 1) * BUCKET)
        ]
        assert sorted(frames for batch in batches for frames in batch) == picked
        spreads += [max(batch) - min(batch) for batch in batches]
        group_spreads.append(picked[-1] - picked[0])
    assert np.mean(spreads) < 0.4 * np.mean(group_spreads)


def test_batches_depend_only_on_step_and_row(
    shards: Path, vocoder_folder: Path, sentences: ShardedSentences, tmp_path: Path
) -> None:
    settings = acoustic(shards, vocoder_folder, tmp_path)
    other = ShardedSentences(ShardedCorpus(str(shards), settings.shards), settings, SPEAKERS)
    for step in (9, 4, 9):
        whole = sentences.rows(step, range(2))
        for row in (1, 0):
            (alone,) = other.rows(step, range(row, row + 1))
            assert all(torch.equal(*pair) for pair in zip(alone, whole[row], strict=True))


def test_an_acoustic_model_learns_from_shards_and_resumes(
    shards: Path, vocoder_folder: Path, tmp_path: Path
) -> None:
    learning = {"steps": 40, "learning_rate": 1e-2, "batch_size": 4, "validate_every": 10}
    loop.train(acoustic(shards, vocoder_folder, tmp_path / "whole", **learning))
    log = (tmp_path / "whole" / "log.jsonl").read_text().splitlines()
    held_out = [line for line in map(json.loads, log) if line["event"] == "validation"]
    assert held_out[-1]["mel"] < 0.8 * held_out[0]["mel"]
    parts = tmp_path / "parts"
    loop.train(acoustic(shards, vocoder_folder, parts, **learning | {"steps": 18}))
    loop.train(acoustic(shards, vocoder_folder, parts, **learning), resume=True)
    whole, resumed = (load_file(tmp_path / n / checkpoint.NAME) for n in ("whole", "parts"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_recogniser_learns_from_shards(shards: Path, tmp_path: Path) -> None:
    tiny = CONFIGS["mu_law"]
    conditioning = tiny.conditioning.model_copy(
        update={"kind": "none", "channels": 1, "upsample": (1,)}
    )
    alone = {"conditioning": conditioning, "speakers": ("default",)}
    wavenet = tiny.model_copy(update=alone)
    model = RecogniserConfig(wavenet=wavenet, channels=24, layers=2, kernel_size=5)
    places = {"corpus": str(shards), "output": str(tmp_path)}
    changes = {"steps": 40, "learning_rate": 1e-2, "segment_frames": 60, "predicted_frames": 10}
    loop.train(RecogniserTraining(**(RUN | places | changes | {"model": model})))
    log = (tmp_path / "log.jsonl").read_text().splitlines()
    training = [line for line in map(json.loads, log) if line["event"] == "training"]
    assert training[-1]["nats"] < 0.7 * training[0]["nats"]


def test_shards_without_what_training_needs_are_refused(
    toy: Toy, shards: Path, vocoder_folder: Path, tmp_path: Path
) -> None:
    def refused(folder: Path, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            loop.train(acoustic(folder, vocoder_folder, tmp_path / "out"))

    older = tmp_path / "older"
    older.mkdir()
    for path in shards.iterdir():
        (older / path.name).symlink_to(path)
    index = json.loads((older / INDEX_FILE).read_text())
    (older / INDEX_FILE).unlink()
    index["speech"]["symbols"].append("q")
    (older / INDEX_FILE).write_text(json.dumps(index))
    refused(older, CorpusError, "no symbol 'q'")
    del index["speech"]
    (older / INDEX_FILE).write_text(json.dumps(index))
    refused(older, CorpusError, "write the shards again")
    unaligned = tmp_path / "unaligned"
    corpus = Corpus.load(toy.corpus.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vocoder.corpus.sharding.ALIGNMENT_FILE", "none.jsonl")
        shard(corpus, unaligned)
    assert ShardedCorpus(str(unaligned), ShardSettings()).index.speech is None
    refused(unaligned, TrainingError, "no aligned utterance")
