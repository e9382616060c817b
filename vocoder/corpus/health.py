"""Find problems of a corpus before training starts."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from vocoder.corpus.alignment import ALIGNMENT_FILE, read_alignment
from vocoder.corpus.manifest import REJECTED_FILE, Corpus, read_lines
from vocoder.corpus.shards import ShardedCorpus
from vocoder.corpus.utterances import SPLITS, Split, Utterance
from vocoder.errors import CorpusError

SAMPLED = 100
SHORT_SPEAKER_HOURS = 1 / 12


def corpus_lines(corpus: Corpus | ShardedCorpus) -> Iterator[str]:
    """Yield a summary of the corpus, then one line per fault; checks a sample of the files."""
    hours = {split: corpus.hours(split) for split in SPLITS}
    parts = ", ".join(f"{split} {sum(own.values()):.2f}" for split, own in hours.items())
    if isinstance(corpus, ShardedCorpus):
        size = sum(shard.bytes for shard in corpus.index.shards) / 1e6
        content = f"{sum(s.utterances for s in corpus.index.shards):,} utterances in "
        content += f"{len(corpus.index.shards)} shards ({size:,.0f} MB)"
    else:
        content = f"{len(corpus.utterances):,} utterances"
    yield f"corpus: {content}, {len(corpus.speakers)} speakers, hours: {parts}"
    yield from (f"corpus fault: {fault}" for fault in _faults(corpus, hours))


def _faults(
    corpus: Corpus | ShardedCorpus, hours: Mapping[Split, dict[str, float]]
) -> Iterator[str]:
    if not hours["validation"]:
        yield "no validation split, so validation uses training data"
    for speaker in corpus.speakers:
        own = hours["train"].get(speaker, 0.0)
        if own < SHORT_SPEAKER_HOURS:
            yield f"speaker {speaker} has only {60 * own:.1f} minutes of training data"
    yield from _damaged_shards(corpus) if isinstance(corpus, ShardedCorpus) else _files(corpus)


def _files(corpus: Corpus) -> Iterator[str]:
    missing = [u for u in corpus.utterances if not (corpus.folder / u.file).is_file()]
    if missing:
        yield (
            f"{len(missing)} files are missing, the first is {missing[0].file}; "
            "run vocoder prepare again"
        )
    stride = max(1, len(corpus.utterances) // SAMPLED)
    damaged = [fault for u in corpus.utterances[::stride] if (fault := _damage(corpus, u))]
    if damaged:
        checked = len(corpus.utterances[::stride])
        yield f"{len(damaged)} of {checked} files checked are damaged, the first: {damaged[0]}"
    rejected = corpus.folder / REJECTED_FILE
    count = sum(1 for _ in read_lines(rejected)) if rejected.is_file() else 0
    if count:
        yield f"{count} recordings were rejected during preparation; see {rejected}"
    if (corpus.folder / ALIGNMENT_FILE).is_file():
        unaligned = len(corpus.utterances) - len(read_alignment(corpus))
        if unaligned:
            yield (f"{unaligned} utterances are not aligned; only training on mels can use them")


def _damage(corpus: Corpus, utterance: Utterance) -> str | None:
    try:
        corpus.read(utterance)
    except CorpusError as error:
        return str(error)
    return None


def _damaged_shards(corpus: ShardedCorpus) -> Iterator[str]:
    """Check the size of every shard of a folder, and read the first one of each split."""
    first = {shard.split: shard.name for shard in reversed(corpus.index.shards)}
    local = Path(corpus.folder.removeprefix("file://"))
    for shard in corpus.index.shards:
        tar = local / f"{shard.name}.tar"
        if shard.name in first.values():
            try:
                corpus.open(shard.name)
            except CorpusError as error:
                yield str(error)
        elif "://" not in str(local) and local.is_dir():
            size = tar.stat().st_size if tar.is_file() else 0
            if size != shard.bytes:
                yield f"{tar} has {size} bytes, expected {shard.bytes}"
