import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from vocoder.corpus import parallel, report
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.prepare import prepare
from vocoder.corpus.processing import Outcome, Task
from vocoder.corpus.settings import PreparationConfig, load_settings
from vocoder.errors import ConfigError, CorpusError

from .conftest import Speech

Make = Callable[..., Path]
TEXTS = {f"arctic_a000{n}": f"sentence {n}" for n in range(1, 7)}


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the plots, which are the slowest part; test_report.py covers them."""
    monkeypatch.setattr(report, "_plots", lambda folder, by_speaker: [])


def written(folder: Path) -> dict[str, int]:
    """Modification time of each utterance file in nanoseconds."""
    return {p.name: p.stat().st_mtime_ns for p in folder.glob("utterances/*/*.safetensors")}


def age(folder: Path) -> dict[str, int]:
    """Set the modification times to the past, so that any write shows."""
    for path in folder.glob("utterances/*/*.safetensors"):
        os.utime(path, ns=(10**18, 10**18))
    return written(folder)


def changed(folder: Path, before: dict[str, int]) -> set[str]:
    return {name for name, when in written(folder).items() if before.get(name) != when}


def rejected(folder: Path) -> dict[str, str]:
    lines = (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    return {one["id"]: one["reason"] for one in map(json.loads, lines)}


def test_whole_run(tmp_path: Path, ljspeech: Make, settings: PreparationConfig) -> None:
    takes = {f"{name}_{take}": text for name, text in TEXTS.items() for take in (1, 2)}
    ljspeech("ann", takes)
    parent = ljspeech("ben", TEXTS).parent
    (parent / "ben" / "wavs" / "arctic_a0003.wav").write_bytes(b"not audio at all")
    summary = prepare([parent], tmp_path / "out", settings, jobs=2)
    assert (summary.utterances, summary.redone, summary.rejected) == (17, 17, {"unreadable": 1})
    corpus = Corpus.load(tmp_path / "out")
    assert corpus.speakers == ("ann", "ben")
    assert [(u.speaker, u.id) for u in corpus.utterances] == sorted(
        (u.speaker, u.id) for u in corpus.utterances
    )
    splits: dict[str, set[str]] = {}
    for utterance in corpus.utterances:
        splits.setdefault(utterance.prompt, set()).add(utterance.split)
        audio, mel = corpus.read(utterance)
        assert (len(audio), mel.shape[1]) == (utterance.samples, utterance.frames)
        assert corpus.read_f0(utterance) is None
    assert set(splits) == set(TEXTS)
    assert all(len(names) == 1 for names in splits.values())
    assert all(corpus.split(name) for name in ("train", "validation", "test"))
    head = json.loads((tmp_path / "out" / "corpus.json").read_text())
    assert [source["layout"] for source in head["sources"]] == ["ljspeech", "ljspeech"]
    total = sum(u.samples for u in corpus.utterances) / 8000 / 3600
    assert sum(sum(h.values()) for h in head["hours"].values()) == pytest.approx(total, abs=1e-3)
    assert "17 utterances: 17 processed" in str(summary)
    assert summary.report.is_file()


def test_the_corpus_does_not_depend_on_the_number_of_jobs(
    tmp_path: Path, ljspeech: Make, settings: PreparationConfig
) -> None:
    folder = ljspeech("ann", TEXTS)
    for jobs in (1, 2):
        prepare([folder], tmp_path / f"out{jobs}", settings, jobs=jobs)
    for name in ("manifest.jsonl", "corpus.json"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()
    one, two = (Corpus.load(tmp_path / f"out{jobs}") for jobs in (1, 2))
    for utterance in one.utterances:
        for first, second in zip(one.read(utterance), two.read(utterance), strict=True):
            assert torch.equal(first, second)


def test_running_again_processes_only_what_changed(
    tmp_path: Path, ljspeech: Make, speech: Speech, settings: PreparationConfig
) -> None:
    folder, out = ljspeech("ann", TEXTS), tmp_path / "out"
    wavs = folder / "wavs"
    (wavs / "arctic_a0006.wav").write_bytes(b"broken")
    prepare([folder], out, settings)
    before = age(out)
    manifest = (out / "manifest.jsonl").read_bytes()

    summary = prepare([folder], out, settings)
    assert (summary.utterances, summary.redone, summary.removed) == (5, 0, 0)
    assert changed(out, before) == set()
    assert (out / "manifest.jsonl").read_bytes() == manifest

    soundfile.write(wavs / "arctic_a0001.wav", speech(0.9, seed=5), 8000)
    (wavs / "arctic_a0002.wav").write_bytes(b"")
    (wavs / "arctic_a0003.wav").unlink()
    soundfile.write(wavs / "new.wav", speech(0.6, seed=6), 8000)
    (wavs / "arctic_a0004.wav").touch()
    summary = prepare([folder], out, settings)
    assert (summary.utterances, summary.redone, summary.removed) == (4, 2, 2)
    assert changed(out, before) == {"arctic_a0001.safetensors", "new.safetensors"}
    assert {"arctic_a0002.safetensors", "arctic_a0003.safetensors"}.isdisjoint(written(out))
    assert rejected(out) == {
        "arctic_a0002": "empty",
        "arctic_a0003": "missing",
        "arctic_a0006": "unreadable",
    }


def test_text_and_splits_do_not_reprocess_audio_but_levels_do(
    tmp_path: Path, ljspeech: Make, settings: PreparationConfig
) -> None:
    folder, out = ljspeech("ann", TEXTS), tmp_path / "out"
    prepare([folder], out, settings)
    before = age(out)
    metadata = folder / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("sentence 1", "other words"))
    resplit = settings.model_copy(update={"validation_fraction": 0.4, "require_text": True})
    assert prepare([folder], out, resplit).redone == 0
    assert changed(out, before) == set()
    corpus = Corpus.load(out)
    assert corpus.utterances[0].text == "other words"
    louder = settings.model_copy(update={"level_dbfs": -20.0})
    assert prepare([folder], out, louder).redone == len(TEXTS)
    assert changed(out, before) == set(before)


def test_damaged_utterance_file_is_written_again(
    tmp_path: Path, ljspeech: Make, settings: PreparationConfig
) -> None:
    folder, out = ljspeech("ann", TEXTS), tmp_path / "out"
    prepare([folder], out, settings)
    victim = out / "utterances" / "ann" / "arctic_a0002.safetensors"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-10])
    (out / "utterances" / "ann" / ".leftover.safetensors").write_bytes(b"")
    summary = prepare([folder], out, settings)
    assert (summary.redone, summary.removed) == (1, 0)
    assert len(victim.read_bytes()) == len(whole)
    assert not (out / "utterances" / "ann" / ".leftover.safetensors").exists()


def test_interrupted_run_is_refused_and_resumes(
    tmp_path: Path,
    ljspeech: Make,
    settings: PreparationConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, out = ljspeech("ann", TEXTS), tmp_path / "out"

    def interrupted(
        tasks: Sequence[Task], chosen: PreparationConfig, *, jobs: int
    ) -> Iterator[tuple[int, Outcome]]:
        for index, task in enumerate(tasks):
            if index == 4:
                raise KeyboardInterrupt
            yield index, parallel.process(task, chosen)

    with monkeypatch.context() as patch:
        patch.setattr(parallel, "outcomes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare([folder], out, settings)
    with pytest.raises(CorpusError, match="did not finish"):
        Corpus.load(out)
    before = age(out)
    assert len(before) == 4
    assert prepare([folder], out, settings).redone == 2
    assert len(changed(out, before)) == 2
    assert len(Corpus.load(out).utterances) == 6


class _Crash:
    """Kills the process that unpickles it, like a crash in a decoder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


def test_recording_that_crashes_its_process_is_rejected(
    tmp_path: Path, speech: Speech, settings: PreparationConfig
) -> None:
    tasks = []
    for number in range(5):
        soundfile.write(tmp_path / f"{number}.wav", speech(0.6, seed=number), 8000)
        tasks.append(Task(tmp_path / f"{number}.wav", tmp_path / f"{number}.safetensors"))
    tasks[1] = Task(_Crash(), tmp_path / "crash.safetensors")  # type: ignore[arg-type]
    done = dict(parallel.outcomes(tasks, settings, jobs=2))
    assert set(done) == set(range(5))
    refusals = {index: outcome.refusal for index, outcome in done.items() if outcome.refusal}
    assert list(refusals) == [1]
    assert "crashed the process" in refusals[1].detail


def test_transcripts_can_be_required(
    tmp_path: Path, speech: Speech, settings: PreparationConfig
) -> None:
    folder = tmp_path / "ann"
    folder.mkdir()
    for name in ("a", "b"):
        soundfile.write(folder / f"{name}.wav", speech(0.6), 8000)
    (folder / "a.txt").write_text("words")
    strict = settings.model_copy(update={"require_text": True})
    assert prepare([folder], tmp_path / "out", strict).rejected == {"no_transcript": 1}
    assert prepare([folder], tmp_path / "out", settings).utterances == 2


def test_nothing_usable_is_an_error_with_the_reasons(
    tmp_path: Path, ljspeech: Make, settings: PreparationConfig
) -> None:
    folder = ljspeech("ann", {"a": "one"})
    (folder / "wavs" / "a.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"none of 1 recordings is usable \(1 empty\).*a\.wav"):
        prepare([folder], tmp_path / "out", settings)
    with pytest.raises(CorpusError, match="did not finish"):
        Corpus.load(tmp_path / "out")


def test_path_traversal_writes_nothing_outside(
    tmp_path: Path, ljspeech: Make, settings: PreparationConfig
) -> None:
    folder = ljspeech("ann", {"a": "one"})
    (folder / "metadata.csv").write_text("a|x|one\n../../../x|y|y\n")
    prepare([folder], tmp_path / "out", settings)
    assert rejected(tmp_path / "out") == {"../../../x": "unsafe_name"}
    assert not list(tmp_path.rglob("x.safetensors"))


def test_folder_with_other_files_is_left_alone(
    tmp_path: Path, ljspeech: Make, settings: PreparationConfig
) -> None:
    folder = ljspeech("ann", {"a": "one"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(CorpusError, match="contains other files"):
        prepare([folder], out, settings)
    with pytest.raises(CorpusError, match="is the source corpus itself"):
        prepare([folder], folder, settings)
    with pytest.raises(CorpusError, match="is a file"):
        prepare([folder], out / "thesis.txt", settings)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_settings_file(tmp_path: Path, settings: PreparationConfig) -> None:
    assert load_settings(None) == PreparationConfig()
    path = tmp_path / "prepare.toml"
    path.write_text("level_dbfs = -20.0\n[features]\nhop_length = 160\n")
    assert load_settings(path).features.hop_length == 160
    path.write_text("loudness = -20.0\n")
    with pytest.raises(ConfigError, match="loudness: unknown key"):
        load_settings(path)
    path.write_text("level_dbfs = \n")
    with pytest.raises(ConfigError, match="TOML"):
        load_settings(path)
    with pytest.raises(ConfigError, match="jobs 0"):
        prepare([tmp_path], tmp_path / "out", settings, jobs=0)


def test_tags_go_into_the_manifest(
    tmp_path: Path, ljspeech: Make, settings: PreparationConfig
) -> None:
    folder = ljspeech("ann", TEXTS)
    (folder / "tags.json").write_text(json.dumps({"arctic_a0002": ["soft"], "arctic_a0003": []}))
    prepare([folder], tmp_path / "out", settings, jobs=1)
    corpus = Corpus.load(tmp_path / "out")
    assert corpus.tags == ("soft",)
    assert {u.id: u.tags for u in corpus.utterances if u.tags} == {"arctic_a0002": ("soft",)}
    before = age(tmp_path / "out")
    (folder / "tags.json").write_text(json.dumps({"arctic_a0001": ["loud"]}))
    prepare([folder], tmp_path / "out", settings, jobs=1)
    assert Corpus.load(tmp_path / "out").tags == ("loud",)
    assert not changed(tmp_path / "out", before)
