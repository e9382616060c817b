"""The key file: looking up keys, reloading it, and creating keys."""

import hashlib
import hmac
import logging
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from keyed import KeyFile, application, bearer, stopped_clock

from vocoder.errors import ConfigError
from vocoder.server import cli as commands
from vocoder.server import errors
from vocoder.server.middleware import api_keys as keys
from vocoder.server.middleware.api_keys import Keyring


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.toml")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return stopped_clock(monkeypatch)


def test_every_entry_is_compared_in_constant_time(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = [file.add(name) for name in ("ann", "ben", "cat")]
    keyring = Keyring(file.path)
    compared: list[bytes] = []
    real = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return real(one, other)

    monkeypatch.setattr(keys.hmac, "compare_digest", watched)
    for secret, name in zip([*secrets, "wrong"], ["ann", "ben", "cat", None], strict=True):
        compared.clear()
        found = keyring.find(secret.encode())
        assert (found and found.name) == name
        assert len(compared) == 3


def test_a_changed_file_is_reloaded(
    file: KeyFile, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ann = file.add("ann", characters_per_minute=10)
    keyring = Keyring(file.path)
    client = TestClient(application(keyring))

    def status(secret: str) -> int:
        return client.post("/v1/speak?characters=6", headers=bearer(secret)).status_code

    assert status(ann) == 200
    ben = file.add("ben")
    assert status(ben) == 401
    clock[0] += keys.CHECK_S
    assert (status(ben), status(ann)) == (200, 429)
    del file.entries["ann"]
    file.write()
    clock[0] += keys.CHECK_S
    assert (status(ben), status(ann)) == (200, 401)
    assert "reloaded 1 API keys" in caplog.text


@pytest.mark.parametrize("content", ["", "[[key]]", "[[key", "key = 3", None])
def test_a_broken_new_file_keeps_the_previous_keys(
    file: KeyFile, clock: list[float], caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    ann = file.add("ann")
    keyring = Keyring(file.path)
    if content is None:
        file.path.unlink()
    else:
        file.path.write_text(content)
    for _ in range(3):
        clock[0] += keys.CHECK_S
        assert keyring.find(ann.encode()) is not None
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert str(file.path) in record.message
    ben = file.add("ben")
    clock[0] += keys.CHECK_S
    assert keyring.find(ben.encode()) is not None


def test_new_limits_apply_to_the_usage_so_far(file: KeyFile, clock: list[float]) -> None:
    secret = file.add("ann", characters_per_minute=10)
    keyring = Keyring(file.path)
    identity = keyring.find(secret.encode())
    assert identity is not None
    identity.charge(10)
    file.entries["ann"] = file.entries["ann"].replace("= 10", "= 1000")
    file.write()
    clock[0] += keys.CHECK_S
    assert keyring.find(secret.encode()) is identity
    with pytest.raises(errors.Refusal):
        identity.charge(1000)
    clock[0] += 60
    identity.charge(1000)


DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("", "create one with `vocoder key NAME`"),
        ("[[key]\n", "not TOML"),
        (f"[[key]]\nname = 'a b'\nsha256 = '{DIGEST}'", "key.0.name"),
        ("[[key]]\nname = 'a'\nsha256 = 'vk_secret'", "key.0.sha256"),
        ("[[key]]\nname = 'a'", "key.0.sha256"),
        (f"[[key]]\nname = 'a'\nsha256 = '{DIGEST}'\nconcurrent = 0", "key.0.concurrent"),
        (f"[[key]]\nname = 'a'\nsha256 = '{DIGEST}'\nrate = 1", "key.0.rate"),
        (f"[[key]]\nname = 'a'\nsha256 = '{DIGEST}'\n" * 2, "two keys have the name a"),
        (
            f"[[key]]\nname = 'a'\nsha256 = '{DIGEST}'\n[[key]]\nname = 'b'\nsha256 = '{DIGEST}'",
            "two keys have the sha256 000",
        ),
    ],
)
def test_invalid_key_files(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "keys.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as refusal:
        Keyring(path)
    assert str(path) in str(refusal.value)
    assert message in str(refusal.value)
    assert "vk_secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_new_key_is_random_and_its_entry_does_not_reveal_it(tmp_path: Path) -> None:
    made = [keys.new("ann", concurrent=2, characters_per_minute=None) for _ in range(20)]
    assert len({secret for secret, _ in made}) == 20
    secret, entry = made[0]
    assert secret.startswith(keys.PREFIX)
    assert len(secret) >= len(keys.PREFIX) + 43
    assert entry.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    path = tmp_path / "keys.toml"
    path.write_text(entry.to_toml())
    assert keys.load(path) == (entry,)
    assert keys.load(path)[0].concurrent == 2
    with pytest.raises(ConfigError, match="name"):
        keys.new('a"b')
    with pytest.raises(ConfigError, match="concurrent"):
        keys.new("ann", concurrent=0)


def test_the_command_prints_the_key_and_its_entry_separately(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    commands.key("ann", concurrent=3)
    shown = capsys.readouterr()
    secret = shown.err.split()[-1]
    path = tmp_path / "keys.toml"
    path.write_text(shown.out)
    identity = Keyring(path).find(secret.encode())
    assert identity is not None
    assert (identity.name, identity.limits.concurrent) == ("ann", 3)
    assert secret not in shown.out
