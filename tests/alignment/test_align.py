"""Alignment of a toy language with known phone boundaries."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Toy
from toy_speech import cut_at_s

from vocoder.alignment import boundaries
from vocoder.alignment.align import align
from vocoder.corpus.alignment import (
    ALIGNMENT_FILE,
    REPORT_FILE,
    UNALIGNED_FILE,
    AlignedUtterance,
    read_alignment,
    read_linguistic,
)
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import aligned_utterances
from vocoder.errors import ConfigError, CorpusError, TrainingError
from vocoder.text.linguistic import CHANNELS, SYMBOLS
from vocoder.text.phone_labels import labels_of


def boundary_errors(toy: Toy, found: dict[tuple[str, str], AlignedUtterance]) -> np.ndarray:
    """Distance of each phone's end from the truth, in ms."""
    errors = []
    for utterance in toy.corpus.utterances:
        aligned = found[utterance.speaker, utterance.id]
        truth = toy.truth[utterance.speaker, utterance.id]
        cut = cut_at_s(truth, toy.corpus.read(utterance)[0].numpy().astype(np.float32))
        ends = cut + np.cumsum(aligned.durations)[:-1] / toy.corpus.features.frame_rate_hz
        errors.append(1000 * np.abs(ends - np.array(truth.ends_s)[:-1]))
    return np.concatenate(errors)


def test_boundaries_are_accurate(toy: Toy) -> None:
    errors = boundary_errors(toy, read_alignment(toy.corpus))
    # A 25 ms window sees a loud sound before it begins.
    assert np.median(errors) < 15
    assert errors.max() < 45


def test_the_check_detects_a_late_alignment(toy: Toy) -> None:
    late = {}
    for key, aligned in read_alignment(toy.corpus).items():
        durations = list(aligned.durations)
        durations[0], durations[-1] = durations[0] + 5, max(1, durations[-1] - 5)
        late[key] = aligned.model_copy(update={"durations": tuple(durations)})
    assert np.median(boundary_errors(toy, late)) > 30


def test_every_utterance_is_aligned_with_its_text(toy: Toy) -> None:
    found = read_alignment(toy.corpus)
    assert len(found) == len(toy.corpus.utterances)
    for utterance in toy.corpus.utterances:
        aligned = found[utterance.speaker, utterance.id]
        assert aligned.sentence.text == utterance.text
        assert sum(aligned.durations) == utterance.frames
        assert SYMBOLS[aligned.phones.symbols[0]] == "^"


def test_the_report_has_plots_and_lists_skipped_utterances(toy: Toy) -> None:
    page = (toy.corpus.folder / REPORT_FILE).read_text()
    assert "alignment-1.png" in page
    assert len(list(toy.corpus.folder.glob("alignment-*.png"))) == 2 + 2 * len(toy.corpus.speakers)
    assert "<h2>Skipped</h2>" in page


def test_utterances_that_cannot_be_aligned_are_listed(toy: Toy, tmp_path: Path) -> None:
    shutil.copytree(toy.corpus.folder, tmp_path / "c")
    path = tmp_path / "c" / "manifest.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["text"] = None
    lines[1]["text"] = "\U0001f600"
    lines[2]["text"] = "She sells sea shells by the sea shore. " * 6
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shutil.rmtree(tmp_path / "c" / "aligner")
    summary = align(tmp_path / "c", steps=8)
    unaligned = (tmp_path / "c" / UNALIGNED_FILE).read_text().splitlines()
    reasons = [json.loads(line)["reason"] for line in unaligned]
    assert reasons[:3] == ["no_transcript", "unreadable_text", "too_short"]
    assert f"{len(unaligned)} skipped" in summary
    with pytest.raises(TrainingError, match="--resume"):
        align(tmp_path / "c", steps=8)


def test_the_error_for_an_unaligned_corpus_says_how_to_align_it(toy: Toy, tmp_path: Path) -> None:
    shutil.copytree(toy.corpus.folder, tmp_path / "c")
    (tmp_path / "c" / ALIGNMENT_FILE).unlink()
    with pytest.raises(CorpusError, match="vocoder align"):
        read_alignment(Corpus.load(tmp_path / "c"))


def test_an_alignment_with_wrong_lengths_is_refused(toy: Toy, tmp_path: Path) -> None:
    shutil.copytree(toy.corpus.folder, tmp_path / "c")
    path = tmp_path / "c" / ALIGNMENT_FILE
    lines = path.read_text().splitlines()
    first = json.loads(lines[0])
    first["durations"][0] += 1
    path.write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    with pytest.raises(CorpusError, match="vocoder align again"):
        read_alignment(Corpus.load(tmp_path / "c"))
    first["durations"].pop()
    path.write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    with pytest.raises(ConfigError, match="durations"):
        read_alignment(Corpus.load(tmp_path / "c"))


def test_linguistic_features_of_a_recording(toy: Toy) -> None:
    utterance, aligned = aligned_utterances(toy.corpus, "train")[0]
    features = read_linguistic(toy.corpus, utterance, aligned)
    assert features.shape == (CHANNELS, utterance.frames)
    now = features[len(SYMBOLS) : 2 * len(SYMBOLS)].argmax(0)
    expected = torch.repeat_interleave(aligned.phones.symbols, torch.tensor(aligned.durations))
    assert torch.equal(now, expected)


def test_refined_durations_keep_every_phone_and_the_length(toy: Toy) -> None:
    corpus = toy.corpus
    utterance, aligned = aligned_utterances(corpus, "train")[0]
    pcm, _ = corpus.read(utterance)
    labels = labels_of(aligned.phones.symbols)
    count = len(labels)
    # The worst start: all phones but the last in the first frames.
    durations = torch.ones(count, dtype=torch.int64)
    durations[-1] = utterance.frames - count + 1
    observations = boundaries.observe(pcm.float() / 32768, corpus.features)
    parts = boundaries.observations_per_frame(corpus.features)
    assert len(observations) == parts * utterance.frames
    (refined,) = boundaries.refine(
        [boundaries.ObservedUtterance(observations, labels, durations)], parts, 2
    )
    assert int(refined.sum()) == utterance.frames
    assert int(refined.min()) >= 1
