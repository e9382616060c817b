"""Find recordings in the common layouts of speech corpora.

LJSpeech: ``metadata.csv`` (``id|text|normalised text``) and ``wavs/ID.wav``; the folder name is the
speaker. VCTK (Yamagishi et al. 2019): ``txt/SPEAKER/ID.txt`` and ``wav48*/SPEAKER/ID_micN.flac``.
Plain folder: audio files anywhere; top-level sub-folders are speakers, ``ID.txt`` is a transcript.
Any of them may contain ``tags.json`` with tags by id: ``{"ID": ["soft"]}``.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints, TypeAdapter, ValidationError

from vocoder.corpus.manifest import Reason, Rejection
from vocoder.corpus.utterances import unsafe
from vocoder.errors import CorpusError

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")
Layout = Literal["ljspeech", "vctk", "folder"]

TAGS_FILE = "tags.json"
_Tag = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\s,]+$")]
_TAGS = TypeAdapter(dict[str, tuple[_Tag, ...]])

_MICROPHONE = re.compile(r"_mic(\d+)$")


@dataclass(frozen=True)
class Recording:
    """A recording in a source folder; id and speaker are safe as file names."""

    id: str
    speaker: str
    path: Path
    text: str | None
    tags: tuple[str, ...] = ()


@dataclass
class FolderContents:
    """The recordings of one folder."""

    path: Path
    layout: Layout
    licence: str | None = None
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    recordings: list[Recording] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    def add(self, identifier: str, speaker: str, path: Path, text: str | None) -> None:
        """Add a recording, or reject it if its id or speaker is not safe as a file name."""
        for name, what in ((identifier, "id"), (speaker, "speaker")):
            if why := unsafe(name):
                self.reject(identifier, speaker, path, "unsafe_name", f"{what} {name!r} {why}")
                return
        text = " ".join(text.split()) if text else None
        tags = self.tags.get(identifier, ())
        self.recordings.append(Recording(identifier, speaker, path, text or None, tags))

    def reject(
        self, identifier: str, speaker: str, source: Path, reason: Reason, detail: str
    ) -> None:
        """Add a rejection."""
        self.rejections.append(
            Rejection(
                id=identifier, speaker=speaker, source=str(source), reason=reason, detail=detail
            )
        )


def find(folders: Sequence[Path]) -> list[FolderContents]:
    """Read each folder in its own layout; a folder of corpora is read as all of them.

    Raises:
        CorpusError: no folder is given, or one does not exist or has no recordings.
    """
    if not folders:
        raise CorpusError("no corpus given: give at least one folder of recordings", param="corpus")
    found: list[FolderContents] = []
    for folder in folders:
        if not folder.is_dir():
            raise CorpusError(
                f"{folder}: no such folder; give a folder of recordings", param="corpus"
            )
        try:
            here = [_read(child) for child in _corpora(folder)]
        except OSError as error:
            raise CorpusError(f"{folder}: cannot be read ({error})", param="corpus") from None
        here = [one for one in here if one.recordings or one.rejections]
        if not here:
            raise CorpusError(
                f"{folder}: has no recordings; expected metadata.csv and wavs/ (LJSpeech), txt/ "
                f"and wav48*/ (VCTK), or {', '.join(AUDIO_SUFFIXES)} files",
                param="corpus",
            )
        found += here
    return _without_duplicates(found)


def detect(folder: Path) -> Layout:
    """The layout of a folder; an unknown layout is a plain folder of audio."""
    if (folder / "metadata.csv").is_file() and (folder / "wavs").is_dir():
        return "ljspeech"
    if (folder / "txt").is_dir() and _vctk_audio(folder) is not None:
        return "vctk"
    return "folder"


def _corpora(folder: Path) -> list[Path]:
    """The folder itself, or its sub-folders if one of them has a known layout."""
    if detect(folder) == "folder":
        children = _folders(folder)
        if any(detect(child) != "folder" for child in children):
            return children
    return [folder]


def _read(folder: Path) -> FolderContents:
    layout = detect(folder)
    found = FolderContents(folder, layout, _licence(folder), _tags(folder / TAGS_FILE))
    {"ljspeech": _ljspeech, "vctk": _vctk, "folder": _plain}[layout](found)
    for identifier in sorted(found.tags.keys() - {each.id for each in found.recordings}):
        detail = f"listed in {TAGS_FILE}, but there is no such recording"
        found.reject(identifier, folder.resolve().name, folder / TAGS_FILE, "missing", detail)
    return found


def _tags(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the tags of each id.

    Raises:
        CorpusError: the file is not an object with lists of tags.
    """
    if not path.is_file():
        return {}
    try:
        return _TAGS.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CorpusError(
            f"{path}: {where or '(root)'}: {first['msg']}; expected an object such as "
            '{"ID": ["soft", "slow"]}'
        ) from None


def _ljspeech(found: FolderContents) -> None:
    folder = found.path
    speaker = folder.resolve().name
    metadata = folder / "metadata.csv"
    audio: dict[str, list[Path]] = defaultdict(list)
    for path in _audio(folder / "wavs", recursive=False):
        audio[path.stem].append(path)
    listed: set[str] = set()
    for number, line in enumerate(_text(metadata).split("\n"), start=1):
        if not line.strip():
            continue
        # The format has no quoting: quotation marks are part of the text.
        columns = [column.strip() for column in line.split("|")]
        identifier = columns[0]
        if len(columns) < 2 or not identifier:
            detail = f"line {number} of {metadata.name} is not in the form id|text|normalised text"
            found.reject(identifier[:40], speaker, metadata, "malformed", detail)
            continue
        if why := unsafe(identifier):
            detail = f"id {identifier!r} on line {number} {why}"
            found.reject(identifier, speaker, metadata, "unsafe_name", detail)
            continue
        if identifier not in audio:
            detail = f"listed on line {number} of {metadata.name}, but missing from wavs/"
            found.reject(identifier, speaker, metadata, "missing", detail)
            continue
        listed.add(identifier)
        text = next((column for column in columns[2:0:-1] if column), None)
        for path in audio[identifier]:
            found.add(identifier, speaker, path, text)
    for identifier in sorted(audio.keys() - listed):
        for path in audio[identifier]:
            found.add(identifier, speaker, path, None)


def _vctk(found: FolderContents) -> None:
    folder = found.path
    root = _vctk_audio(folder)
    assert root is not None
    texts = {path.stem: path for path in sorted((folder / "txt").glob("*/*.txt"))}
    for home in _folders(root):
        takes: dict[str, dict[int, Path]] = defaultdict(dict)
        for path in _audio(home, recursive=False):
            microphone = _MICROPHONE.search(path.stem)
            identifier = _MICROPHONE.sub("", path.stem)
            takes[identifier][int(microphone[1]) if microphone else 0] = path
        for identifier, microphones in sorted(takes.items()):
            # Both microphones have the same take; 2 has less noise, but two speakers have only 1.
            path = microphones[max(microphones)]
            transcript = texts.pop(identifier, None)
            found.add(identifier, home.name, path, _text(transcript) if transcript else None)
    for identifier, path in texts.items():
        detail = f"{root.name}/ has no recording for this transcript"
        found.reject(identifier, path.parent.name, path, "missing", detail)


def _plain(found: FolderContents) -> None:
    folder = found.path
    for path in _audio(folder, recursive=True):
        parts = path.relative_to(folder).with_suffix("").parts
        speaker = parts[0] if len(parts) > 1 else folder.resolve().name
        transcript = path.with_suffix(".txt")
        text = _text(transcript) if transcript.is_file() else None
        found.add("-".join(parts[1:] or parts), speaker, path, text)


def _vctk_audio(folder: Path) -> Path | None:
    """The audio folder; prefers ``wav48_silence_trimmed`` of version 0.92 to ``wav48``."""
    candidates = [child for child in _folders(folder) if child.name.startswith("wav48")]
    return max(candidates, key=lambda child: len(child.name), default=None)


def _folders(folder: Path) -> list[Path]:
    return sorted(c for c in folder.iterdir() if c.is_dir() and not c.name.startswith("."))


def _audio(folder: Path, *, recursive: bool) -> Iterator[Path]:
    for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in AUDIO_SUFFIXES and not hidden and path.is_file():
            yield path


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig", errors="replace")


def _licence(folder: Path) -> str | None:
    for path in sorted(folder.iterdir()):
        if path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")) and path.is_file():
            lines = (line.strip() for line in _text(path).splitlines())
            return next((line for line in lines if line), None)
    return None


def _without_duplicates(found: list[FolderContents]) -> list[FolderContents]:
    """Keep the first of several recordings with the same speaker and id."""
    seen: dict[tuple[str, str], Path] = {}
    for one in found:
        kept = []
        for recording in one.recordings:
            # Case-folded, because the names become files and file systems may ignore case.
            key = recording.speaker.casefold(), recording.id.casefold()
            if first := seen.get(key):
                detail = f"{recording.speaker}/{recording.id} was already found at {first}"
                one.reject(recording.id, recording.speaker, recording.path, "duplicate", detail)
            else:
                seen[key] = recording.path
                kept.append(recording)
        one.recordings = kept
    return found
