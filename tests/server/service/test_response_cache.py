"""The response cache: responses come back unchanged, and disk errors are survived."""

import errno
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vocoder.errors import ConfigError
from vocoder.server.service import response_cache as module
from vocoder.server.service.response_cache import ResponseCache, key_of

HEADERS = {"X-Seed": "1", "X-Speaker": "%E8%8A%B1"}


def keep(cache: ResponseCache, name: object, data: bytes) -> str:
    key = key_of({"name": name})
    with cache.begin(key, HEADERS) as writer:
        for start in range(0, len(data), 1000):
            writer.write(data[start : start + 1000])
        writer.commit()
    return key


def got(cache: ResponseCache, key: str) -> bytes | None:
    answer = cache.get(key)
    if answer is None:
        return None
    with answer:
        assert answer.headers == HEADERS
        data = b"".join(iter(lambda: answer.read(777), b""))
        assert len(data) == answer.length
        return data


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.fixture
def cache(tmp_path: Path) -> ResponseCache:
    return ResponseCache(tmp_path / "deep" / "cache", 100_000)


@pytest.mark.parametrize("length", [0, 1, 777, 20_000])
def test_a_cached_response_comes_back(cache: ResponseCache, length: int) -> None:
    data = os.urandom(length)
    key = keep(cache, "a", data)
    assert got(cache, key) == data
    assert got(ResponseCache(cache.folder, 100_000), key) == data
    assert got(cache, key_of({"name": "b"})) is None


def test_only_the_owner_can_read_the_folder(cache: ResponseCache) -> None:
    keep(cache, "a", b"private")
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in cache.folder.iterdir())


def test_a_key_depends_on_every_part_and_nothing_else() -> None:
    parts: dict[str, Any] = {"text": "Hello.", "seed": 1, "lexicon": {"a": "b", "c": "d"}}
    key = key_of(parts)
    assert key == key_of({"lexicon": {"c": "d", "a": "b"}, "seed": 1, "text": "Hello."})
    others = [{**parts, "seed": 2}, {**parts, "seed": "1"}, {**parts, "x": None}, {"parts": parts}]
    assert len({key, *map(key_of, others)}) == 5
    with pytest.raises(ValueError, match="not JSON compliant"):
        key_of({"speed": float("nan")})


def test_another_version_of_the_software_has_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of({"seed": 1})
    monkeypatch.setattr("vocoder.__version__", "999")
    assert key_of({"seed": 1}) != key


def test_incomplete_responses_are_not_served(cache: ResponseCache) -> None:
    key = key_of({"name": "a"})
    writer = cache.begin(key, HEADERS)
    writer.write(b"half")
    assert cache.get(key) is None
    writer.abandon()
    writer.commit()
    writer.write(b"more")
    assert cache.get(key) is None
    with cache.begin(key, HEADERS) as writer:
        writer.write(b"half")
    assert not list(cache.folder.iterdir())


def test_two_writers_of_one_key(cache: ResponseCache) -> None:
    key = key_of({"name": "a"})
    first, second = cache.begin(key, HEADERS), cache.begin(key, HEADERS)
    for writer in (first, second, first):
        writer.write(b"12345")
    second.write(b"12345")
    first.commit()
    assert got(cache, key) == b"1234512345"
    second.commit()
    assert got(cache, key) == b"1234512345"
    assert len(list(cache.folder.iterdir())) == 1


def test_the_least_recently_used_are_removed(cache: ResponseCache) -> None:
    keys = [keep(cache, name, bytes(9100)) for name in range(10)]
    for age, key in enumerate(keys):
        then = time.time() - 1000 + age
        os.utime(cache.folder / f"{key}.response", (then, then))
    assert got(cache, keys[0]) is not None
    keys.append(keep(cache, "new", bytes(9100)))
    left = [key for key in keys if got(cache, key) is not None]
    assert left[0] == keys[0]
    assert left[-1] == keys[-1]
    assert keys[1] not in left
    assert left[1:] == keys[-len(left[1:]) :]
    assert 80_000 < size_of(cache.folder) <= 100_000


def test_the_size_limit_holds(cache: ResponseCache) -> None:
    for name in range(60):
        keep(cache, name, os.urandom(500 * (name % 40)))
        assert size_of(cache.folder) <= 100_000


def test_files_of_other_processes_count(
    cache: ResponseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ResponseCache(cache.folder, 100_000)
    for name in range(10):
        keep(other, name, bytes(9900))
    monkeypatch.setattr(module, "SCAN_S", 0.0)
    keep(cache, "one more", bytes(9900))
    assert size_of(cache.folder) <= 100_000


def test_a_smaller_limit_applies_at_startup(cache: ResponseCache) -> None:
    for name in range(10):
        keep(cache, name, bytes(9000))
    ResponseCache(cache.folder, 50_000)
    assert size_of(cache.folder) <= 50_000


def test_a_large_response_is_not_cached(cache: ResponseCache) -> None:
    key = key_of({"name": "a"})
    with cache.begin(key, HEADERS) as writer:
        for _ in range(26):
            writer.write(bytes(1000))
            assert size_of(cache.folder) <= 25_000
        writer.commit()
    assert cache.get(key) is None
    assert not list(cache.folder.iterdir())


def test_a_response_that_is_removed_while_it_is_read(cache: ResponseCache) -> None:
    data = os.urandom(20_000)
    answer = cache.get(keep(cache, "a", data))
    assert answer is not None
    for path in cache.folder.iterdir():
        path.unlink()
    with answer:
        assert b"".join(iter(lambda: answer.read(), b"")) == data


@pytest.mark.parametrize("content", [b"", b"not JSON", b"\0" * 3000])
def test_an_unreadable_file_is_removed(
    cache: ResponseCache, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    key = keep(cache, "a", os.urandom(2000))
    (path,) = cache.folder.iterdir()
    path.write_bytes(content)  # What a crash of the machine can leave behind.
    assert cache.get(key) is None
    assert not path.exists()
    assert "unreadable" in caplog.text


def test_leftovers_are_removed_and_foreign_files_are_kept(cache: ResponseCache) -> None:
    old, young = cache.folder / "partial-old.tmp", cache.folder / "partial-young.tmp"
    theirs = cache.folder / "thesis.txt"
    for path in (old, young, theirs):
        path.write_bytes(bytes(200_000))
    for path in (old, theirs):
        os.utime(path, (0, 0))
    keep(ResponseCache(cache.folder, 100_000), "a", bytes(20_000))
    assert not old.exists()
    assert young.exists()
    assert theirs.exists()


def test_a_full_disk_only_costs_the_cached_response(
    cache: ResponseCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*given: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for place, name in ((os, "utime"), (Path, "replace"), (module.tempfile, "mkstemp")):
        with monkeypatch.context() as patched:
            patched.setattr(place, name, full)
            key = keep(cache, name, b"data")
            assert (got(cache, key) == b"data") == (name == "utime")
    assert len(list(cache.folder.iterdir())) == 1
    assert caplog.text.count("No space left on device") == 1


def test_a_disk_that_fills_up_during_a_response(cache: ResponseCache) -> None:
    key = key_of({"name": "a"})
    with cache.begin(key, HEADERS) as writer:
        writer.write(b"a")
        real = writer._file
        assert real is not None
        writer._file = open("/dev/full", "wb")  # noqa: SIM115 -- the writer closes it
        writer.write(bytes(20_000))
        writer.write(b"b")
        writer.commit()
        real.close()
    assert cache.get(key) is None
    assert not list(cache.folder.iterdir())


def test_a_deleted_folder_is_survived(
    cache: ResponseCache, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    cache.folder.rmdir()
    key = keep(cache, "a", b"data")
    assert cache.get(key) is None
    keep(cache, "b", b"data")
    assert len(caplog.records) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_wrong_permissions_are_survived(cache: ResponseCache) -> None:
    key = keep(cache, "a", b"data")
    cache.folder.chmod(0o500)
    other = keep(cache, "b", b"data")
    assert got(cache, key) == b"data"
    assert got(cache, other) is None
    cache.folder.chmod(0o700)


def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(ConfigError, match="cache_dir"):
            ResponseCache(path, 1000)


HAMMER = """
import sys
from pathlib import Path
from vocoder.server.service.response_cache import ResponseCache, key_of

cache, seed = ResponseCache(Path(sys.argv[1]), 100_000), int(sys.argv[2])
for step in range(300):
    name = (step * 7 + seed) % 23
    data, key = b"%d" % name * 5000, key_of({"name": name})
    found = cache.get(key)
    if found is not None:
        with found:
            assert found.read() == data
    with cache.begin(key, {}) as writer:
        writer.write(data)
        writer.commit()
"""


def test_processes_share_a_folder(cache: ResponseCache) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", HAMMER, cache.folder, str(seed)])
        for seed in range(3)
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    names = [path.name for path in cache.folder.iterdir()]
    assert names
    assert all(name.endswith(".response") for name in names)
    keep(ResponseCache(cache.folder, 100_000), "last", b"")
    assert size_of(cache.folder) <= 100_000
