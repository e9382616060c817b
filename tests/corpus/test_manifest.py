import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vocoder.corpus.manifest import Corpus
from vocoder.corpus.prepare import prepare
from vocoder.corpus.settings import PreparationConfig
from vocoder.errors import UserError

from .conftest import SMALL, write_ljspeech

TEXTS = {"a": "one", "b": "two", "c": "three"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recordings, out = tmp_path_factory.mktemp("recordings"), tmp_path_factory.mktemp("corpus")
    write_ljspeech(recordings, "ann", TEXTS)
    prepare([recordings / "ann"], out, PreparationConfig(features=SMALL))
    return out


@pytest.fixture
def corpus(tmp_path: Path, prepared: Path) -> Callable[[], Corpus]:
    shutil.copytree(prepared, tmp_path / "out")
    return lambda: Corpus.load(tmp_path / "out")


def edit(path: Path, **changes: Any) -> None:
    """Change keys of the first line of a JSON-lines file."""
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps(json.loads(first) | changes) + "\n" + "".join(rest))


def test_loads_what_was_prepared(corpus: Callable[[], Corpus]) -> None:
    loaded = corpus()
    assert loaded.features.sample_rate_hz == 8000
    assert [u.id for u in loaded.utterances] == ["a", "b", "c"]
    assert sorted(u.split for u in loaded.utterances) == ["test", "train", "validation"]


def test_folder_that_is_not_prepared(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a prepared corpus"):
        Corpus.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "../../etc/passwd"}, "does not belong"),
        ({"id": "../x", "file": "utterances/ann/../x.safetensors"}, "is a path"),
        ({"split": "training"}, "split"),
        ({"frames": 0}, "frames"),
        ({"frames": 7}, "samples in"),
        ({"samples": "many"}, "samples"),
        ({"digest": "abc"}, "digest"),
        ({"extra": 1}, "unknown key"),
        ({"speaker": "ben", "file": "utterances/ben/a.safetensors"}, "different speakers"),
        ({"id": "b", "file": "utterances/ann/b.safetensors"}, "twice"),
    ],
)
def test_damaged_line_is_refused(
    corpus: Callable[[], Corpus], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    edit(tmp_path / "out" / "manifest.jsonl", **changes)
    with pytest.raises(UserError, match=message) as caught:
        corpus()
    assert "manifest.jsonl" in str(caught.value)


@pytest.mark.parametrize("name", ["manifest.jsonl", "corpus.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "binary", "list", "empty"])
def test_damaged_file_is_refused(
    corpus: Callable[[], Corpus], tmp_path: Path, name: str, damage: str
) -> None:
    path = tmp_path / "out" / name
    whole = path.read_bytes()
    contents = {"cut": whole[:-20], "binary": b"\xff\xfe\x00" * 9, "list": b"[]\n", "empty": b""}
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(contents[damage])
    with pytest.raises(UserError, match="vocoder prepare"):
        corpus()


def test_format_of_another_version_is_refused(corpus: Callable[[], Corpus], tmp_path: Path) -> None:
    path = tmp_path / "out" / "corpus.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(UserError, match="format 2, but this version reads 1"):
        corpus()


def test_damaged_utterance_is_refused(corpus: Callable[[], Corpus], tmp_path: Path) -> None:
    loaded = corpus()
    first, second, third = loaded.utterances
    path = tmp_path / "out" / first.file
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(UserError, match="cannot be used"):
        loaded.read(first)
    path.write_bytes((tmp_path / "out" / second.file).read_bytes())
    with pytest.raises(UserError, match="differs in length"):
        loaded.read(first)
    path.write_bytes(whole.replace(b'"hop_length":"60"', b'"hop_length":"61"'))
    with pytest.raises(UserError, match="hop_length 61, the voice needs 60"):
        loaded.read(first)
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        loaded.read(first)
    loaded.read(third)
