"""Hot-loading of voices: warmed up before they serve, and reported to the service."""

import asyncio
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import SPEECH_URL, live, save_voice

from vocoder.server.app import create_app
from vocoder.server.metrics import Metrics
from vocoder.server.service.voice_reload import VoiceReload
from vocoder.server.settings import ServerSettings
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import VOCODER_WEIGHTS, Voice

PATIENCE_S = 10.0


class Stage:
    """A service as the reload sees it, which records the calls."""

    def __init__(self, folder: Path) -> None:
        self.registry = VoiceRegistry(folder)
        self.synthesizer = self
        self.metrics = Metrics()
        self.warmed: list[str] = []
        self.served_meanwhile: list[str] = []
        self.left: list[Voice] = []
        self.broken = False

    def warm_up(self, voice: Voice) -> None:
        self.warmed.append(voice.digest)
        self.served_meanwhile.append(self.registry.get("arctic").digest)
        if self.broken:
            raise RuntimeError("cannot be run")

    def voice_replaced(self, old: Voice) -> None:
        self.left.append(old)

    def play(self, every_s: float, scenario: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            task = asyncio.create_task(VoiceReload(self, every_s).run())  # type: ignore[arg-type]
            try:
                await scenario
            finally:
                task.cancel()

        asyncio.run(run())


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    save_voice(tmp_path, "arctic")
    return Stage(tmp_path)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


def counted(metrics: Metrics, result: str) -> float:
    value = metrics.registry.get_sample_value("vocoder_voice_loads_total", {"result": result})
    assert value is not None
    return value


def test_a_replacement_is_warmed_up_before_it_serves(stage: Stage) -> None:
    old, before = stage.registry.get(), counted(stage.metrics, "replaced")

    async def scenario() -> None:
        save_voice(stage.registry.folder, "arctic", seed=1)
        await until(lambda: bool(stage.left))

    stage.play(0.02, scenario())
    new = stage.registry.get()
    assert new.digest != old.digest
    assert stage.warmed == [new.digest]
    assert stage.served_meanwhile == [old.digest]
    assert stage.left == [old]
    assert counted(stage.metrics, "replaced") == before + 1


def test_voices_are_added_and_removed(stage: Stage) -> None:
    loaded, removed = counted(stage.metrics, "loaded"), counted(stage.metrics, "removed")

    async def scenario() -> None:
        save_voice(stage.registry.folder, "british", seed=1)
        await until(lambda: stage.registry.ids() == ["arctic", "british"])
        stage.registry.get("arctic")
        shutil.rmtree(stage.registry.folder / "arctic")
        await until(lambda: stage.registry.ids() == ["british"])
        await until(lambda: len(stage.left) == 1)

    stage.play(0.02, scenario())
    assert (counted(stage.metrics, "loaded"), counted(stage.metrics, "removed")) == (
        loaded + 1,
        removed + 1,
    )


def test_an_engine_shared_with_another_voice_is_kept(stage: Stage) -> None:
    save_voice(stage.registry.folder, "twin")

    async def scenario() -> None:
        await until(lambda: "twin" in stage.registry.ids())
        assert stage.registry.get("twin").digest == stage.registry.get("arctic").digest
        shutil.rmtree(stage.registry.folder / "twin")
        await until(lambda: stage.registry.ids() == ["arctic"])
        save_voice(stage.registry.folder, "arctic", seed=1)
        await until(lambda: bool(stage.left))

    stage.play(0.02, scenario())
    assert [voice.id for voice in stage.left] == ["arctic"]


def test_a_corrupt_voice_is_logged_once_and_the_old_one_stays(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    old, before = stage.registry.get(), counted(stage.metrics, "refused")

    async def scenario() -> None:
        path = stage.registry.folder / "arctic" / VOCODER_WEIGHTS
        path.write_bytes(path.read_bytes()[:-1])
        await until(lambda: counted(stage.metrics, "refused") > before)
        await asyncio.sleep(0.2)

    stage.play(0.02, scenario())
    assert stage.registry.get() is old
    assert stage.left == stage.warmed == []
    assert counted(stage.metrics, "refused") == before + 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "SHA-256" in record.message
    assert record.fields == {"voice": "arctic"}  # type: ignore[attr-defined]


def test_a_voice_that_fails_to_warm_up_is_not_served_or_retried(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    old = stage.registry.get()
    stage.broken = True

    async def scenario() -> None:
        save_voice(stage.registry.folder, "arctic", seed=1)
        await until(lambda: bool(caplog.records))
        await asyncio.sleep(0.2)
        assert len(stage.warmed) == 1
        assert stage.registry.get() is old
        stage.broken = False
        save_voice(stage.registry.folder, "arctic", seed=2)
        await until(lambda: stage.left == [old])

    stage.play(0.02, scenario())
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "cannot load a changed voice" in record.message


def test_sighup_reloads_at_once(stage: Stage) -> None:
    before = signal.getsignal(signal.SIGHUP)

    async def scenario() -> None:
        save_voice(stage.registry.folder, "british", seed=1)
        await asyncio.sleep(0.1)
        assert stage.registry.ids() == ["arctic"]
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: stage.registry.ids() == ["arctic", "british"])

    stage.play(0.0, scenario())
    assert signal.getsignal(signal.SIGHUP) == before


def test_running_streams_keep_their_voice(tmp_path: Path) -> None:
    save_voice(tmp_path, "arctic")
    settings = ServerSettings(voices_dir=tmp_path, reload_voices_s=0.05, max_streams=8)
    app = create_app(settings)
    wanted = {"input": "The quick brown fox. " * 20, "seed": 1, "response_format": "pcm"}

    with (
        live(app) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):

        def hash_of_the_default() -> str:
            found: str = client.get("/v1/audio/voices").json()["voices"][0]["hash"]
            return found

        def wait_for(condition: Callable[[], bool]) -> None:
            deadline = time.monotonic() + PATIENCE_S
            while not condition():
                assert time.monotonic() < deadline
                time.sleep(0.02)

        whole = client.post(SPEECH_URL, json=wanted)
        before = whole.headers["x-voice-hash"]
        assert hash_of_the_default() == before
        with client.stream("POST", SPEECH_URL, json=wanted) as stream:
            assert app.state.service.admission.streams == 1
            save_voice(tmp_path, "arctic", seed=1)
            wait_for(lambda: hash_of_the_default() != before)
            assert b"".join(stream.iter_bytes()) == whole.content
        after = client.post(SPEECH_URL, json=wanted)
        assert after.headers["x-voice-hash"] == hash_of_the_default() != before
        assert after.content != whole.content

        refused = counted(app.state.service.metrics, "refused")
        path = tmp_path / "arctic" / VOCODER_WEIGHTS
        path.write_bytes(path.read_bytes()[:-1])
        wait_for(lambda: counted(app.state.service.metrics, "refused") > refused)
        assert client.post(SPEECH_URL, json=wanted).content == after.content
