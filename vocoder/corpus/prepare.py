"""Prepare a corpus: read, clean, extract features in parallel, split by prompt, write a report.

Running it again is incremental: recordings whose content and settings have not changed are not
processed again, and utterances whose recordings are gone are removed.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from vocoder import files
from vocoder.corpus import parallel, readers, report
from vocoder.corpus.manifest import (
    CORPUS_FILE,
    FORMAT,
    MANIFEST_FILE,
    REJECTED_FILE,
    UNFINISHED_FILE,
    Reason,
    Rejection,
    Source,
    read_lines,
    write_lines,
)
from vocoder.corpus.processing import Measurements, Outcome, Refusal, Task
from vocoder.corpus.readers import Recording
from vocoder.corpus.settings import PreparationConfig
from vocoder.corpus.splits import prompts_of, split_prompts
from vocoder.corpus.utterances import SPLITS, UTTERANCES_FOLDER, Split, Utterance, utterance_file
from vocoder.errors import ConfigError, CorpusError
from vocoder.features.mel import mel_filterbank
from vocoder.progress import track


@dataclass(frozen=True)
class Summary:
    """The result of a run.

    Attributes:
        folder: folder of the prepared corpus.
        hours: hours of speech by speaker and split.
        utterances: number of utterances, of which ``redone`` were processed in this run.
        rejected: number of rejected recordings by reason.
        removed: number of utterance files removed because their recording is gone.
        report: path of the report.
    """

    folder: Path
    hours: dict[str, dict[str, float]]
    utterances: int
    redone: int
    rejected: dict[str, int]
    removed: int
    report: Path

    def __str__(self) -> str:
        """The summary as the command line prints it."""
        lines = []
        for speaker, hours in self.hours.items():
            parts = ", ".join(f"{split} {value:.3f}" for split, value in hours.items())
            lines.append(f"{speaker}: {sum(hours.values()):.2f} hours ({parts})")
        kept = self.utterances - self.redone
        lines.append(f"{self.utterances} utterances: {self.redone} processed, {kept} up to date")
        if self.removed:
            lines.append(f"{self.removed} removed: their recordings are gone or no longer usable")
        if self.rejected:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.rejected.items())
            lines.append(f"{sum(self.rejected.values())} rejected: {reasons}")
        return "\n".join([*lines, f"report: {self.report}"])


def prepare(
    corpora: Sequence[Path], output: Path, settings: PreparationConfig, *, jobs: int = 1
) -> Summary:
    """Prepare the recordings of ``corpora`` into the folder ``output``.

    Args:
        corpora: folders in LJSpeech or VCTK layout, plain folders of audio, or folders of these.
        output: a new folder, or a prepared one; files that are up to date are kept.
        settings: feature settings, trimming, level, limits and splits.
        jobs: number of processes; 1 uses the current one.

    Raises:
        CorpusError: no recordings were found or are usable, or ``output`` contains other files.
        ConfigError: ``jobs`` is below 1, or the feature settings are impossible.
    """
    if jobs < 1:
        raise ConfigError(f"jobs {jobs}: must be at least 1", param="jobs")
    mel_filterbank(settings.features)
    _check_output(output, corpora)
    found = readers.find(corpora)
    rejections = [rejection for one in found for rejection in one.rejections]
    recordings = []
    for recording in (recording for one in found for recording in one.recordings):
        if settings.require_text and recording.text is None:
            detail = "no transcript was found, but require_text is set"
            rejections.append(_rejection(recording, Refusal("no_transcript", detail)))
        else:
            recordings.append(recording)
    output.mkdir(parents=True, exist_ok=True)
    # Removed at the end, so that nobody trains on a partly updated corpus.
    files.write_text(output / UNFINISHED_FILE, "vocoder prepare is running or was interrupted\n")
    known = _earlier_rejections(output / REJECTED_FILE)
    tasks = [
        Task(r.path, output / utterance_file(r.speaker, r.id), known.get((r.speaker, r.id)))
        for r in recordings
    ]
    done = dict(track(parallel.outcomes(tasks, settings, jobs=jobs), "preparing", len(tasks)))
    outcomes = [done[index] for index in range(len(tasks))]
    prompts = prompts_of(recordings)
    usable = []
    for recording, prompt, outcome in zip(recordings, prompts, outcomes, strict=True):
        if outcome.refusal:
            rejections.append(_rejection(recording, outcome.refusal, outcome.digest))
        else:
            usable.append((recording, prompt, outcome))
    rejections.sort(key=lambda r: (r.speaker, r.id, r.source))
    write_lines(output / REJECTED_FILE, rejections)
    if not usable:
        _remove_stale(output, set())
        raise CorpusError(_nothing_left(rejections, output), param="corpus")
    splits = split_prompts({prompt for _, prompt, _ in usable}, settings)
    rows = [_row(*one, splits[one[1]], settings) for one in usable]
    rows.sort(key=lambda row: (row[0].speaker, row[0].id))
    utterances = [utterance for utterance, _ in rows]
    hours = _hours(utterances, settings)
    removed = _remove_stale(output, {utterance.file for utterance in utterances})
    write_lines(output / MANIFEST_FILE, utterances)
    sources = [_source(one) for one in found]
    _write_head(output, settings, sources, hours)
    page = report.write(output, rows, rejections, sources, settings)
    if hasattr(os, "sync"):
        os.sync()  # the utterance files were written without fsync
    (output / UNFINISHED_FILE).unlink()
    return Summary(
        folder=output,
        hours=hours,
        utterances=len(utterances),
        redone=sum(outcome.redone for _, _, outcome in usable),
        rejected=dict(Counter(rejection.reason for rejection in rejections)),
        removed=removed,
        report=page,
    )


def _row(
    recording: Recording, prompt: str, outcome: Outcome, split: Split, settings: PreparationConfig
) -> tuple[Utterance, Measurements]:
    assert outcome.digest is not None
    assert outcome.measurements is not None
    utterance = Utterance(
        id=recording.id,
        speaker=recording.speaker,
        prompt=prompt,
        split=split,
        text=recording.text,
        tags=recording.tags,
        samples=outcome.samples,
        frames=settings.features.frames(outcome.samples),
        file=utterance_file(recording.speaker, recording.id),
        source=str(recording.path),
        digest=outcome.digest,
    )
    return utterance, outcome.measurements


def _hours(
    utterances: Sequence[Utterance], settings: PreparationConfig
) -> dict[str, dict[str, float]]:
    samples: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SPLITS, 0))
    for utterance in utterances:
        samples[utterance.speaker][utterance.split] += utterance.samples
    an_hour = 3600 * settings.features.sample_rate_hz
    return {
        speaker: {split: round(count / an_hour, 4) for split, count in counts.items()}
        for speaker, counts in samples.items()
    }


def _source(one: readers.FolderContents) -> Source:
    speakers = tuple(sorted({recording.speaker for recording in one.recordings}))
    return Source(path=str(one.path), layout=one.layout, speakers=speakers, licence=one.licence)


def _write_head(
    output: Path,
    settings: PreparationConfig,
    sources: Sequence[Source],
    hours: dict[str, dict[str, float]],
) -> None:
    dump = settings.model_dump(mode="json")
    head = {
        "format": FORMAT,
        "features": dump.pop("features"),
        "speakers": sorted(hours),
        "preparation": dump,
        "sources": [source.model_dump(mode="json") for source in sources],
        "hours": hours,
    }
    text = json.dumps(head, indent=2, ensure_ascii=False)
    files.write_text(output / CORPUS_FILE, f"{text}\n")


def _rejection(recording: Recording, refusal: Refusal, digest: str | None = None) -> Rejection:
    return Rejection(
        id=recording.id,
        speaker=recording.speaker,
        source=str(recording.path),
        reason=refusal.reason,
        detail=refusal.detail,
        digest=digest,
    )


def _earlier_rejections(path: Path) -> dict[tuple[str, str], tuple[str, Refusal]]:
    """Rejections of the last run by speaker and id; if the list is damaged, start without them."""
    known: dict[tuple[str, str], tuple[str, Refusal]] = {}
    if not path.is_file():
        return known
    try:
        earlier = [Rejection.parse(data, where) for data, where in read_lines(path)]
    except (CorpusError, ConfigError):
        return known
    for one in earlier:
        if one.digest and one.reason in get_args(Reason):
            known[one.speaker, one.id] = one.digest, Refusal(one.reason, one.detail)
    return known


def _check_output(output: Path, corpora: Sequence[Path]) -> None:
    if output.exists() and not output.is_dir():
        raise CorpusError(f"{output}: is a file; choose a folder for the prepared corpus")
    for corpus in corpora:
        if output.resolve() == corpus.resolve():
            raise CorpusError(f"{output}: is the source corpus itself; choose another folder")
    ours = any((output / name).is_file() for name in (CORPUS_FILE, UNFINISHED_FILE))
    if output.is_dir() and any(output.iterdir()) and not ours:
        raise CorpusError(
            f"{output}: contains other files and no prepared corpus; choose a new or empty folder"
        )


def _remove_stale(output: Path, wanted: set[str]) -> int:
    removed = 0
    for path in sorted((output / UTTERANCES_FOLDER).glob("*/*.safetensors")):
        if path.relative_to(output).as_posix() not in wanted:
            path.unlink()
            # A leading dot marks the leftover of an interrupted write.
            removed += not path.name.startswith(".")
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    return removed


def _nothing_left(rejections: Sequence[Rejection], output: Path) -> str:
    counts = Counter(rejection.reason for rejection in rejections).most_common()
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts)
    return (
        f"none of {len(rejections)} recordings is usable ({reasons}); the first: "
        f"{rejections[0].source}: {rejections[0].detail}; see {output / REJECTED_FILE}"
    )
