import importlib
import tempfile
from pathlib import Path

import filelock
import pytest

from vocoder.features import librosa_import as compiled_librosa


def test_one_process_at_a_time_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock"
    imported = []

    def import_module(name: str) -> None:
        with pytest.raises(filelock.Timeout):
            filelock.FileLock(lock, timeout=0, is_singleton=False).acquire()
        imported.append(name)

    monkeypatch.setattr(compiled_librosa, "lock_path", lambda: lock)
    monkeypatch.setattr(importlib, "import_module", import_module)
    compiled_librosa.librosa.__wrapped__()
    assert tuple(imported) == compiled_librosa.PARTS
    with filelock.FileLock(lock, timeout=0):
        pass


def test_the_lock_is_next_to_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    librosa = compiled_librosa.librosa()
    monkeypatch.setattr("os.access", lambda path, mode: True)
    assert compiled_librosa.lock_path().parent == Path(librosa.__file__).parent
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert compiled_librosa.lock_path().parent == Path(tempfile.gettempdir())
