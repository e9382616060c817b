"""Settings from options, the environment and a file; their errors; the serve command."""

import inspect
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from vocoder.cli import app as cli
from vocoder.errors import ConfigError, VoiceError
from vocoder.server import cli as commands
from vocoder.server.app import serve
from vocoder.server.settings import ServerSettings


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("VOCODER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def refused(*parts: str, **given: Any) -> None:
    with pytest.raises(ConfigError) as refusal:
        ServerSettings.load(**given)
    message = str(refusal.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_options_override_the_environment_which_overrides_the_file(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    file.write_text("port = 9000\nworkers = 3\nmax_audio_s = 1\nvoice_aliases = {a = 'slt'}")
    monkeypatch.setenv("VOCODER_PORT", "9001")
    monkeypatch.setenv("VOCODER_MAX_AUDIO_S", "12.5")
    monkeypatch.setenv("VOCODER_VOICE_ALIASES", '{"b": "bdl"}')
    for load in (
        lambda: ServerSettings.load(settings_file=file, port=9002, host=None),
        lambda: ServerSettings(settings_file=file, port=9002),
    ):
        settings = load()
        assert (settings.port, settings.max_audio_s, settings.workers) == (9002, 12.5, 3)
        assert settings.host == "127.0.0.1"
        assert settings.voice_aliases == {"a": "slt", "b": "bdl"}
    assert ServerSettings.load().port == 9001
    assert ServerSettings.load().workers == 1
    monkeypatch.setenv("VOCODER_SETTINGS_FILE", str(file))
    assert ServerSettings.load().workers == 3


def test_an_error_names_the_value_and_its_source(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    file.write_text("port = 'eighty'\nweights = 'int4'")
    what = "port to listen on"
    refused("setting port = 'eighty'", f"(file {file})", "valid integer", what, settings_file=file)
    monkeypatch.setenv("VOCODER_PORT", "ninety")
    variable = "(environment variable VOCODER_PORT)"
    refused("setting port = 'ninety'", variable, "valid integer", settings_file=file)
    refused("setting port = 70000", "(option --port)", "65535", settings_file=file, port=70000)
    refused("setting weights = 'int4'", f"(file {file})", "'int8'", settings_file=file, port=1)


def test_an_error_names_the_source_of_a_nested_value(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    file.write_text("voice_aliases = {onyx = 3}")
    monkeypatch.setenv("VOCODER_VOICE_ALIASES", '{"coral": "slt"}')
    refused("voice_aliases['onyx'] = 3", f"(file {file})", settings_file=file)
    file.write_text("voice_aliases = {onyx = 'slt'}")
    monkeypatch.setenv("VOCODER_VOICE_ALIASES", '{"coral": 4}')
    refused("voice_aliases['coral'] = 4", "variable VOCODER_VOICE_ALIASES", settings_file=file)


def test_an_unknown_setting_gets_a_suggestion(file: Path) -> None:
    refused("unknown setting prot (option --prot): did you mean port?", prot=1)
    file.write_text("worker = 2")
    refused(f"unknown setting worker (file {file}): did you mean workers?", settings_file=file)
    file.write_text("[server]\nport = 1")
    refused("unknown setting server", "the settings are", "voices_dir", settings_file=file)
    file.write_text("settings_file = 'other.toml'")
    refused("settings_file cannot be set in the file itself", settings_file=file)


def test_a_misspelt_variable_causes_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VOCODER_CPU_INSTRUCTIONS", "avx2")
    monkeypatch.setenv("VOCODER_WORKERS", "2")
    ServerSettings.load()
    assert not caplog.records
    monkeypatch.setenv("VOCODER_MAX_STREAM", "8")
    ServerSettings.load()
    assert "VOCODER_MAX_STREAM: did you mean VOCODER_MAX_STREAMS?" in caplog.text


def test_unreadable_settings_files(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(f"settings file {file}: no such file", "--settings", settings_file=file)
    refused("no such file", settings_file=file.parent)
    monkeypatch.setenv("VOCODER_SETTINGS_FILE", str(file))
    refused(f"settings file {file}: no such file", "VOCODER_SETTINGS_FILE")
    file.write_text("port = ")
    refused(f"settings file {file}: not TOML")
    file.write_bytes(b"host = '\xff'")
    refused(f"settings file {file}: not TOML", "utf-8")


def test_voice_aliases_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOCODER_VOICE_ALIASES", '{"onyx": "arctic/bdl"}')
    assert ServerSettings.load().voice_aliases == {"onyx": "arctic/bdl"}
    for wrong in ("onyx=bdl", '{"onyx": 1}', "[]"):
        monkeypatch.setenv("VOCODER_VOICE_ALIASES", wrong)
        refused("VOCODER_VOICE_ALIASES")


@pytest.mark.parametrize(
    "given",
    ["https://a.example,http://localhost:3000", '["https://a.example", "http://localhost:3000"]'],
)
def test_origins_are_a_list(monkeypatch: pytest.MonkeyPatch, given: str, file: Path) -> None:
    monkeypatch.setenv("VOCODER_CORS_ORIGINS", given)
    expected = ("https://a.example", "http://localhost:3000")
    assert ServerSettings.load().cors_origins == expected
    monkeypatch.delenv("VOCODER_CORS_ORIGINS")
    file.write_text(f"cors_origins = {list(expected)}")
    assert ServerSettings.load(settings_file=file).cors_origins == expected


@pytest.mark.parametrize(
    "given", ["https://a.example/", "a.example", "https://A.example", "https://u@a.example", '["']
)
def test_invalid_origins(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("VOCODER_CORS_ORIGINS", given)
    refused("setting cors_origins", "VOCODER_CORS_ORIGINS")


def test_a_long_value_is_truncated_in_the_error() -> None:
    with pytest.raises(ConfigError) as refusal:
        ServerSettings.load(port="9" * 100_000)
    assert len(str(refusal.value)) < 500


def test_a_child_process_gets_exactly_the_parents_settings(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    file.write_text("voice_aliases = {'花' = 'slt'}\ncors_origins = ['*']\nmax_streams = 7")
    given = {"settings_file": file, "port": 0, "cache_dir": Path("über"), "max_audio_s": 0.1}
    settings = ServerSettings.load(**given)
    # Even if the sources have changed, the child gets the parent's settings.
    file.unlink()
    monkeypatch.setenv("VOCODER_WORKERS", "no number")
    monkeypatch.setenv("VOCODER_VOICE_ALIASES", '{"other": "bdl"}')
    for name, value in settings.to_environment().items():
        assert name.startswith("VOCODER_")
        monkeypatch.setenv(name, value)
    child = ServerSettings.load()
    assert child == settings
    assert child.model_fields_set >= {"port", "max_streams"}
    assert ServerSettings.load(port=5).port == 5


def test_every_setting_has_a_description_with_its_unit() -> None:
    for name, setting in ServerSettings.model_fields.items():
        assert setting.description, name
        assert "\n" not in setting.description
        if name.endswith("_s") or name == "retry_after_s":
            assert "second" in setting.description, name
        if name.endswith("_bytes"):
            assert "bytes" in setting.description, name


def test_options_of_the_command_are_settings() -> None:
    options = set(inspect.signature(commands.serve).parameters) - {"settings"}
    assert options <= ServerSettings.model_fields.keys()


@pytest.mark.parametrize(
    ("workers", "runs"), [(1, "app.serve"), (3, "workers.supervisor.supervise")]
)
def test_the_command_passes_its_options_on(
    monkeypatch: pytest.MonkeyPatch, file: Path, workers: int, runs: str
) -> None:
    served = []
    monkeypatch.setattr(f"vocoder.server.{runs}", served.append)
    file.write_text(f"workers = {workers}\nport = 1")
    commands.serve(settings=file, port=2, cache_dir=Path("kept"))
    (settings,) = served
    assert (settings.workers, settings.port, settings.cache_dir) == (workers, 2, Path("kept"))


def test_a_command_line_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["vocoder", "serve", "--port", "99999"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "setting port = 99999 (option --port)" in line


def test_a_missing_voices_folder(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match="no such folder"):
        serve(ServerSettings(voices_dir=tmp_path / "none"))


def test_a_port_in_use(voices_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1 port {port}"):
            serve(ServerSettings(voices_dir=voices_dir, port=port))


@pytest.fixture
def _logging_put_back() -> Iterator[None]:
    yield
    for name in ("vocoder", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


@pytest.mark.usefixtures("_logging_put_back")
def test_serves_until_interrupted(voices_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    statuses = []

    def client() -> None:
        try:
            for _ in range(1000):
                try:
                    statuses.append(httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code)
                    break
                except httpx2.TransportError:
                    time.sleep(0.01)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=client)
    thread.start()
    serve(ServerSettings(voices_dir=voices_dir, port=port))
    thread.join()
    assert statuses == [200]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    said = [line["message"] for line in lines]
    assert "voices: arctic, other" in said
    assert any(f"http://127.0.0.1:{port}" in message for message in said)
    assert [line["path"] for line in lines if line["message"] == "request"] == ["/healthz"]
