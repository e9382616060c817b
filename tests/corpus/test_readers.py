from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vocoder.corpus import readers
from vocoder.errors import CorpusError

BEEP = np.full(100, 0.1, dtype=np.float32)


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, BEEP, 8000)
    return path


def names(found: readers.FolderContents) -> set[tuple[str, str, str | None]]:
    return {(r.speaker, r.id, r.text) for r in found.recordings}


def test_ljspeech_uses_normalised_text_and_folder_name(ljspeech: Callable[..., Path]) -> None:
    folder = ljspeech("ann", {"a1": "one", "a2": "two"})
    (folder / "LICENSE.txt").write_text("\n  CC0 1.0 \nmore\n")
    (one,) = readers.find([folder])
    assert one.layout == "ljspeech"
    assert one.licence == "CC0 1.0"
    assert names(one) == {("ann", "a1", "one"), ("ann", "a2", "two")}


def test_ljspeech_odd_lines(ljspeech: Callable[..., Path]) -> None:
    folder = ljspeech("ann", {"a1": "one", "a2": "two"})
    write(folder / "wavs" / "unlisted.wav")
    (folder / "metadata.csv").write_text(
        '\ufeffa1|only raw "text\n\ngarbage\na3|no audio|no audio\na2||\n', encoding="utf-8"
    )
    (one,) = readers.find([folder])
    assert names(one) == {
        ("ann", "a1", 'only raw "text'),
        ("ann", "a2", None),
        ("ann", "unlisted", None),
    }
    assert [(r.id, r.reason) for r in one.rejections] == [
        ("garbage", "malformed"),
        ("a3", "missing"),
    ]
    assert "line 3" in one.rejections[0].detail


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", ".hidden", "a\x07b", "x" * 300])
def test_id_that_is_not_a_file_name_is_rejected(ljspeech: Callable[..., Path], name: str) -> None:
    folder = ljspeech("ann", {"a1": "one"})
    write(folder.parent / "x.wav")
    with open(folder / "metadata.csv", "a") as metadata:
        metadata.write(f"{name}|text|text\n")
    (one,) = readers.find([folder])
    assert names(one) == {("ann", "a1", "one")}
    assert [r.reason for r in one.rejections] == ["unsafe_name"]
    assert repr(name) in one.rejections[0].detail


def test_folder_of_corpora_is_read_as_all_of_them(ljspeech: Callable[..., Path]) -> None:
    first = ljspeech("ann", {"a1": "one"})
    ljspeech("ben", {"a1": "one"})
    write(first.parent / "loose" / "clip.ogg")
    found = readers.find([first.parent])
    assert [(one.path.name, one.layout) for one in found] == [
        ("ann", "ljspeech"),
        ("ben", "ljspeech"),
        ("loose", "folder"),
    ]


def test_vctk_uses_one_microphone_and_the_transcript(tmp_path: Path) -> None:
    root = tmp_path / "VCTK"
    write(root / "wav48_silence_trimmed" / "p225" / "p225_001_mic1.flac")
    chosen = write(root / "wav48_silence_trimmed" / "p225" / "p225_001_mic2.flac")
    only = write(root / "wav48_silence_trimmed" / "p280" / "p280_001_mic1.flac")
    (root / "txt" / "p225").mkdir(parents=True)
    (root / "txt" / "p225" / "p225_001.txt").write_text("Please call\nStella.\n")
    (root / "txt" / "p225" / "p225_002.txt").write_text("Lost.\n")
    (one,) = readers.find([root])
    assert one.layout == "vctk"
    assert names(one) == {("p225", "p225_001", "Please call Stella."), ("p280", "p280_001", None)}
    assert {r.path for r in one.recordings} == {chosen, only}
    assert [(r.id, r.reason) for r in one.rejections] == [("p225_002", "missing")]


def test_vctk_without_microphone_names(tmp_path: Path) -> None:
    write(tmp_path / "wav48" / "p225" / "p225_001.wav")
    (tmp_path / "txt" / "p225").mkdir(parents=True)
    (tmp_path / "txt" / "p225" / "p225_001.txt").write_text("Hello.")
    (one,) = readers.find([tmp_path])
    assert names(one) == {("p225", "p225_001", "Hello.")}


def test_plain_folder_names_speakers_by_sub_folder(tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    write(root / "top.WAV")
    write(root / "ann" / "a.flac")
    (root / "ann" / "a.txt").write_text("words")
    write(root / "ann" / "day" / "b.ogg")
    write(root / "ann" / "._a.wav")
    (root / "ann" / "notes.md").write_text("no audio")
    (one,) = readers.find([root])
    assert one.layout == "folder"
    assert names(one) == {("mixed", "top", None), ("ann", "a", "words"), ("ann", "day-b", None)}


def test_duplicates_are_rejected(tmp_path: Path) -> None:
    write(tmp_path / "one" / "ann" / "a.flac")
    write(tmp_path / "one" / "ann" / "a.wav")
    write(tmp_path / "two" / "ann" / "A.wav")
    first, second = readers.find([tmp_path / "one", tmp_path / "two"])
    assert [r.path.name for r in first.recordings] == ["a.flac"]
    assert not second.recordings
    assert [r.reason for r in first.rejections + second.rejections] == ["duplicate"] * 2
    assert "a.flac" in second.rejections[0].detail


def test_the_error_for_an_empty_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such folder"):
        readers.find([tmp_path / "absent"])
    with pytest.raises(CorpusError, match="LJSpeech"):
        readers.find([tmp_path])
    with pytest.raises(CorpusError, match="at least one folder"):
        readers.find([])


def test_tags_belong_to_their_recordings(ljspeech: Callable[..., Path]) -> None:
    folder = ljspeech("ann", {"a1": "one", "a2": "two"})
    (folder / "tags.json").write_text('{"a2": ["soft", "slow"], "a9": ["loud"]}')
    (one,) = readers.find([folder])
    assert {r.id: r.tags for r in one.recordings} == {"a1": (), "a2": ("soft", "slow")}
    assert [(r.id, r.reason) for r in one.rejections] == [("a9", "missing")]


@pytest.mark.parametrize("text", ['["soft"]', '{"a1": "soft"}', '{"a1": ["two words"]}', "{"])
def test_an_invalid_tags_file_is_refused(ljspeech: Callable[..., Path], text: str) -> None:
    folder = ljspeech("ann", {"a1": "one"})
    (folder / "tags.json").write_text(text)
    with pytest.raises(CorpusError, match="expected an object such as"):
        readers.find([folder])
