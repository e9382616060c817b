"""Shards: their format, their order, and damaged shards."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import torch
from buzzing import make_corpus, run_config, shard_small
from conftest import CONFIGS, Toy
from safetensors.torch import load

from vocoder.corpus import shards
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.sharding import shard
from vocoder.corpus.shards import ShardedCorpus, ShardSettings
from vocoder.errors import CorpusError, TrainingError
from vocoder.training import loop
from vocoder.training.data.segments import Segments
from vocoder.training.data.shard_order import StreamOrder
from vocoder.voices import voice

SETTINGS = ShardSettings(shuffle=2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus.load(make_corpus(tmp_path_factory.mktemp("speech")))


@pytest.fixture(scope="module")
def sharded(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen utterances in several small shards."""
    folder = tmp_path_factory.mktemp("shards") / "out"
    shard_small(corpus, folder)
    return folder


@pytest.fixture
def remote(sharded: Path) -> Iterator[str]:
    """The same shards at a URL."""
    url = "memory://bucket/corpus"
    memory = fsspec.filesystem("memory")
    memory.put(str(sharded), "/bucket/corpus", recursive=True)
    yield url
    memory.rm("/bucket", recursive=True)


def order(corpus: ShardedCorpus, batch_size: int = 2, seed: int = 0) -> StreamOrder:
    return StreamOrder(
        corpus, "train", segment_frames=20, batch_size=batch_size, seed=seed, aligned=False
    )


def ids(found: StreamOrder, steps: range, rows: range) -> list[str]:
    picked = (found.pick(step, row, 0.5) for step in steps for row in rows)
    return [f"{utterance.speaker}/{utterance.id}" for utterance in picked]


def test_any_tar_reader_can_read_all_utterances(corpus: Corpus, sharded: Path) -> None:
    found = {}
    for path in sorted(sharded.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            # webdataset: consecutive members with the same name up to the first dot are a sample.
            for data, described in zip(members[::2], members[1::2], strict=True):
                assert data.name.split(".") == [described.name.split(".")[0], "safetensors"]
                content, text = tar.extractfile(data), tar.extractfile(described)
                assert content is not None
                assert text is not None
                line = json.loads(text.read())
                assert path.name.startswith(line["split"])
                found[line["speaker"], line["id"]] = load(content.read())
    assert len(list(sharded.glob("train-*.tar"))) > 2
    assert len(found) == len(corpus.utterances) == 16
    for utterance in corpus.utterances:
        for name, tensor in corpus.tensors(utterance).items():
            assert torch.equal(found[utterance.speaker, utterance.id][name], tensor)


@pytest.mark.parametrize("kind", ["folder", "file URL", "URL"])
def test_utterances_read_the_same_from_everywhere(
    corpus: Corpus, sharded: Path, remote: str, kind: str, tmp_path: Path
) -> None:
    place = {"folder": str(sharded), "file URL": f"file://{sharded}", "URL": remote}[kind]
    settings = ShardSettings(cache=str(tmp_path / "cache"))
    opened = shards.open_corpus(place, settings)
    assert isinstance(opened, ShardedCorpus)
    assert (opened.speakers, opened.name) == (corpus.speakers, "out")
    assert opened.tags == corpus.tags
    assert opened.hours("train") == pytest.approx(corpus.hours("train"))
    by_name = {(u.speaker, u.id): u for u in corpus.utterances}
    for name in ("train", "validation", "test"):
        for utterance in opened.split(name):
            original = by_name.pop((utterance.speaker, utterance.id))
            assert original.model_dump() == {
                key: getattr(utterance, key) for key in original.model_dump()
            }
            pairs = zip(opened.read(utterance), corpus.read(original), strict=True)
            assert all(torch.equal(one, other) for one, other in pairs)
    assert not by_name
    assert (tmp_path / "cache").exists() == (kind == "URL")


def test_a_prepared_folder_is_opened_as_a_corpus(corpus: Corpus) -> None:
    for place in (str(corpus.folder), f"file://{corpus.folder}"):
        assert shards.open_corpus(place, SETTINGS) == corpus


def test_the_order_depends_only_on_step_and_row(sharded: Path) -> None:
    first = order(ShardedCorpus(str(sharded), SETTINGS))
    steps = range(3 * first.rows // 2)
    whole = ids(first, steps, range(2))
    # From the middle, and one row at a time like two processes.
    later = order(ShardedCorpus(str(sharded), SETTINGS))
    assert ids(later, steps[40:], range(2)) == whole[80:]
    halves = [
        ids(order(ShardedCorpus(str(sharded), SETTINGS)), steps, range(r, r + 1)) for r in (0, 1)
    ]
    assert [name for pair in zip(*halves, strict=True) for name in pair] == whole
    assert ids(order(ShardedCorpus(str(sharded), SETTINGS), seed=1), steps, range(2)) != whole


def test_an_epoch_draws_utterances_in_proportion_to_their_length(sharded: Path) -> None:
    corpus = ShardedCorpus(str(sharded), SETTINGS)
    found = order(corpus, batch_size=1)
    epochs = [ids(found, range(e * found.rows, (e + 1) * found.rows), range(1)) for e in range(3)]
    for names in epochs:
        for utterance in corpus.split("train"):
            times = names.count(f"{utterance.speaker}/{utterance.id}")
            assert times == pytest.approx(utterance.frames / 20, abs=1.01)
    assert epochs[0] != epochs[1] != epochs[2]


def test_training_reads_shards_in_bounded_memory_and_disk(
    sharded: Path, remote: str, tmp_path: Path
) -> None:
    index = ShardedCorpus(str(sharded), SETTINGS).index
    largest = max(one.bytes for one in index.shards)
    limit = -(-3 * largest // 1_000_000)
    settings = {"shuffle": 1, "cache": str(tmp_path / "cache"), "cache_mb": limit}
    config = run_config(remote, tmp_path / "run", steps=30, shards=settings)
    folder = loop.train(config)
    assert voice.load(folder).speakers == ("ann", "ben")
    held = [path.stat().st_size for path in (tmp_path / "cache").rglob("*.tar")]
    assert 0 < sum(held) <= limit * 1_000_000
    assert sum(held) < sum(one.bytes for one in index.shards)
    # The same from the folder: the order depends on the corpus, not on its location.
    other = loop.train(run_config(sharded, tmp_path / "other", steps=30, shards={"shuffle": 1}))
    assert voice.load(other).digest == voice.load(folder).digest


def test_a_cache_that_is_too_small_is_refused(remote: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vocoder.corpus.shards.MEGABYTE", 1000)
        settings = ShardSettings(cache=str(tmp_path), cache_mb=100)
        corpus = ShardedCorpus(remote, settings)
        with pytest.raises(CorpusError, match=r"cache_mb 100 is too small .* make it at least"):
            corpus.open("train-00000")


@pytest.mark.parametrize("fault", ["missing", "short", "changed", "list"])
def test_a_damaged_shard_is_refused_or_skipped_and_counted(
    sharded: Path, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(sharded, folder)
    victim = folder / ("train-00001.jsonl" if fault == "list" else "train-00001.tar")
    content = victim.read_bytes()
    if fault == "missing":
        victim.unlink()
    else:
        half = len(content) // 2
        cut = {"short": content[:half], "changed": content[:half] + b"?" + content[half + 1 :]}
        victim.write_bytes(cut.get(fault, content[:-5]))
    with pytest.raises(CorpusError, match="train-00001"):
        ids(order(ShardedCorpus(str(folder), SETTINGS)), range(60), range(2))
    skipping = ShardSettings(shuffle=2, damaged="skip")
    opened = ShardedCorpus(str(folder), skipping)
    names = ids(order(opened), range(60), range(2))
    lost = {
        f"{u.speaker}/{u.id}"
        for u in ShardedCorpus(str(sharded), SETTINGS).split("train")
        if u.shard == "train-00001"
    }
    assert lost.isdisjoint(names)
    assert opened.skipped == {"train-00001"}
    assert caplog.text.count("skipped") == 1
    whole = ids(order(ShardedCorpus(str(sharded), SETTINGS)), range(60), range(2))
    assert [a for a, b in zip(names, whole, strict=True) if b not in lost] == [
        b for b in whole if b not in lost
    ]


def test_locations_that_cannot_be_opened_are_refused(
    tmp_path: Path, corpus: Corpus, sharded: Path
) -> None:
    with pytest.raises(CorpusError, match="vocoder shard"):
        ShardedCorpus("memory://nothing/here", SETTINGS)
    with pytest.raises(CorpusError, match="nonsense"):
        ShardedCorpus("nonsense://bucket/here", SETTINGS)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(CorpusError, match="contains other files"):
        shard(corpus, tmp_path)
    (tmp_path / "shards.json").write_text("{}")
    with pytest.raises(CorpusError, match="not a shard index"):
        ShardedCorpus(str(tmp_path), SETTINGS)


def test_rewriting_shards_removes_old_ones(corpus: Corpus, sharded: Path, tmp_path: Path) -> None:
    shard_small(corpus, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in sharded.iterdir()
    }
    shard(corpus, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} < names


def test_linguistic_features_are_read_from_shards(toy: Toy, tmp_path: Path) -> None:
    shard(toy.corpus, tmp_path)
    opened = ShardedCorpus(str(tmp_path), SETTINGS)
    config = CONFIGS["logistics"]
    conditioning = config.conditioning.model_copy(update={"kind": "linguistic"})
    config = config.model_copy(update={"conditioning": conditioning, "speakers": opened.speakers})
    stream = StreamOrder(opened, "train", segment_frames=4, batch_size=2, seed=0, aligned=True)
    streamed = Segments(opened, "train", config, 4, 0, stream)
    folder = Segments(toy.corpus, "train", config, 4, 0)
    drawn = stream.pick(0, 0, 0.5)
    original = next(u for u in folder.utterances if (u.speaker, u.id) == (drawn.speaker, drawn.id))
    for one, other in zip(streamed.segment(drawn, 0), folder.segment(original, 0), strict=True):
        assert torch.equal(one, other)
    unaligned = tuple(one.model_copy(update={"aligned_frames": 0}) for one in opened.index.shards)
    opened.index = opened.index.model_copy(update={"shards": unaligned})
    with pytest.raises(TrainingError, match="no aligned"):
        StreamOrder(opened, "train", segment_frames=4, batch_size=2, seed=0, aligned=True)
