"""The page at `/` in Chromium, with the voice in `checkpoints`: it speaks, draws and compares.

`VOCODER_PAGE_PICTURE=docs/service/page.png pytest tests/server/test_page.py -k speaks` takes its
picture while it plays.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import soundfile
from browsing import Visit, chromium, visit
from serving import SPEECH_URL, live

from server import keys
from server.app import create_app
from server.settings import ServerSettings
from vocoder.synthesizer import Synthesizer
from vocoder.voice import VoiceRegistry

ROOT = Path(__file__).parent.parent.parent
RECORDING = ROOT / "tests" / "assets" / "speech" / "slt_arctic_a0090.flac"
TEXT = "Dr. Smith paid $3.50 for a cup of tea at 5:30. It was worth every penny!"
SHORT = "It was a dark night."
RATE = 16000
WAVE, SPECTROGRAM = (0.1, 0.35), (0.45, 0.9)
"""Where they lie on the canvas."""

WITHOUT_SOCKETS = """window.WebSocket = class {
    constructor() { setTimeout(() => this.onclose({ code: 1006, reason: "" })); }
    close() {}
};"""
WITHOUT_WORKLETS = """Object.defineProperty(BaseAudioContext.prototype, "audioWorklet", {
    value: undefined,
});"""
WITH_ONE_RATE = """window.AudioContext = class extends AudioContext {
    constructor(options) {
        if (options?.sampleRate) throw new DOMException("not here", "NotSupportedError");
        super({ sampleRate: 44100 });
    }
};"""


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    return Synthesizer(VoiceRegistry(ROOT / "checkpoints"))


@pytest.fixture(scope="module")
def port(synthesizer: Synthesizer) -> Iterator[int]:
    settings = ServerSettings(voices_dir=ROOT / "checkpoints")
    with live(create_app(settings, synthesizer)) as port:
        yield port


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visited(browser: Any, port: int) -> Iterator[Visit]:
    """The page; at the end nobody may have complained, nor anything come from elsewhere."""
    with visit(browser, port, color_scheme="dark", viewport={"width": 1000, "height": 800}) as seen:
        seen.until("document.querySelector('#voice').options.length")
        yield seen
        assert not seen.complaints
        assert not seen.elsewhere


def speak(visited: Visit, text: str, seed: int | None = 3, speaker: str = "slt") -> None:
    visited.page.fill("#text", text)
    visited.page.select_option("#speaker", speaker)
    visited.page.fill("#seed", "" if seed is None else str(seed))
    visited.page.click("#speak")


def downloaded(visited: Visit) -> bytes:
    visited.until("!document.querySelector('#download').disabled")
    with visited.page.expect_download() as download:
        visited.page.click("#download")
    return Path(download.value.path()).read_bytes()


def whole(port: int, text: str, seed: int, **options: Any) -> bytes:
    """The same speech by `POST /v1/audio/speech`, as 16-bit samples at the voice's rate."""
    body = {"input": text, "seed": seed, "speaker": "slt", "response_format": "wav", **options}
    url = f"http://127.0.0.1:{port}{SPEECH_URL}"
    answer = httpx2.post(url, json={**body, "stream": False}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.content


def test_it_speaks_draws_and_gives_the_same_audio_as_a_file(visited: Visit, port: int) -> None:
    assert visited.loudest(0.1) == 0
    speak(visited, TEXT)
    visited.until_position(0.3)
    visited.until_heard()
    assert visited.page.evaluate("() => window.vocoderPage.player.track !== null")
    visited.until_position(2.2)
    visited.until("document.querySelectorAll('#transcript .now').length === 1")
    assert visited.colours("#picture", *WAVE) > 5
    assert visited.colours("#picture", *SPECTROGRAM) > 100
    if path := os.environ.get("VOCODER_PAGE_PICTURE"):
        save_picture(visited, Path(path))
    visited.until_quiet()
    assert visited.loudest(0.1) == 0
    assert visited.text("#transcript").startswith("Doctor Smith paid three dollars and fifty cents")
    assert visited.page.locator("#transcript .now").count() == 0
    wav = downloaded(visited)
    assert wav == whole(port, TEXT, 3)
    seconds = (len(wav) - 44) / 2 / RATE
    assert visited.text("#length") == f"{seconds:.2f} s"
    assert visited.text("#status") == f"Done: {seconds:.1f} s of speech."
    assert 0 < int(visited.text("#first-audio").removesuffix(" ms")) < 60_000
    assert 0 < float(visited.text("#real-time-factor")) < 60
    assert visited.text("#seed-used") == "3"
    assert visited.text("#gaps").isdecimal()
    answer = httpx2.get(f"{visited.origin}/v1/audio/voices").json()["data"][0]
    assert visited.page.get_attribute("#voice-hash", "title") == answer["hash"]


def test_speed_pitch_and_the_largest_seed_reach_the_server(visited: Visit, port: int) -> None:
    visited.page.fill("#speed", "0.5")
    visited.page.fill("#pitch", "-2")
    assert visited.text("#speed-value") == "× 1.41"
    assert visited.text("#pitch-value") == "−2 semitones"
    speak(visited, SHORT, seed=2**63 - 1)
    assert downloaded(visited) == whole(port, SHORT, 2**63 - 1, speed=1.41, pitch=-2)
    assert visited.text("#seed-used") == str(2**63 - 1)


def test_a_drawn_seed_is_shown_and_can_be_kept(visited: Visit, port: int) -> None:
    speak(visited, SHORT, seed=None)
    visited.until("!document.querySelector('#keep-seed').hidden")
    seed = visited.text("#seed-used")
    assert visited.page.get_attribute("#seed", "placeholder") == seed
    assert downloaded(visited) == whole(port, SHORT, int(seed))
    visited.page.click("#keep-seed")
    assert visited.page.input_value("#seed") == seed


def test_stop_is_heard_at_once_and_by_the_server(visited: Visit) -> None:
    speak(visited, "This is a long text. " * 50)
    visited.until_position(0.5)
    visited.page.click("#stop")
    visited.until_quiet()
    assert visited.loudest(0.2) == 0
    assert visited.text("#status") == "Stopped."
    length = visited.text("#length")
    visited.page.wait_for_timeout(500)
    assert visited.text("#length") == length
    samples, rate = soundfile.read(io.BytesIO(downloaded(visited)))
    assert f"{len(samples) / rate:.2f} s" == length


def test_what_is_asked_for_next_takes_the_place_of_what_was_asked_before(
    visited: Visit, port: int
) -> None:
    speak(visited, "This is a long text. " * 50)
    visited.until_position(0.2)
    speak(visited, "This is another long text. " * 50)
    speak(visited, SHORT)
    visited.until("document.querySelector('#status').textContent.startsWith('Done')")
    assert visited.text("#transcript") == SHORT
    assert downloaded(visited) == whole(port, SHORT, 3)


def test_playing_pauses_goes_on_and_moves(visited: Visit) -> None:
    page = visited.page
    speak(visited, TEXT)
    visited.until_position(0.4)
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "Play speech"
    visited.until_quiet()
    assert visited.loudest(0.2) == 0
    paused = float(page.get_attribute("#picture", "aria-valuenow"))
    assert 0.3 < paused < 6
    page.focus("#picture")
    page.keyboard.press("ArrowRight")
    assert float(page.get_attribute("#picture", "aria-valuenow")) == pytest.approx(paused + 0.5)
    visited.until("document.querySelector('#status').textContent.startsWith('Done')")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "Pause speech"
    visited.until_heard()
    visited.until_quiet()
    position = page.get_attribute("#picture", "aria-valuetext")
    assert position.split()[0] == position.split()[2]


@pytest.mark.parametrize("way", ["drop", "choose"])
def test_a_recording_is_said_again_beside_the_original(visited: Visit, way: str) -> None:
    page, data = visited.page, RECORDING.read_bytes()
    page.select_option("#speaker", "slt")
    page.fill("#seed", "5")
    if way == "drop":
        visited.drop(RECORDING.name, "audio/flac", data)
    else:
        page.set_input_files("#file", RECORDING)
    visited.until_position(0.3)
    visited.until_heard()
    assert visited.text("#original-title") == "Original"
    assert visited.text("#result-title") == "Copy"
    page.click("#play-original")
    visited.until_heard()
    assert page.evaluate("() => window.vocoderPage.player.track !== window.vocoderPage.track")
    for canvas in ("#picture", "#original-picture"):
        assert visited.colours(canvas, *SPECTROGRAM) > 100
    url = f"{visited.origin}/v1/audio"
    features = httpx2.post(f"{url}/analyze", content=data, params={"f0": False}, timeout=60)
    query = {"speaker": "slt", "seed": 5, "response_format": "pcm"}
    copy = httpx2.post(f"{url}/vocode", content=features.content, params=query, timeout=60)
    assert downloaded(visited)[44:] == copy.content
    samples, _ = soundfile.read(RECORDING)
    assert abs(len(copy.content) / 2 - len(samples)) < 200


def test_what_the_server_refuses_is_said(visited: Visit) -> None:
    speak(visited, "!?")
    visited.until("!document.querySelector('#problem').hidden")
    assert "nothing to speak" in visited.text("#problem")
    assert not visited.complaints
    speak(visited, SHORT)
    visited.until("document.querySelector('#problem').hidden")
    visited.until_position(0.2)
    visited.drop("notes.txt", "text/plain", b"no recording")
    visited.until("!document.querySelector('#problem').hidden")
    assert "WAV, FLAC, MP3 or OGG" in visited.text("#problem")
    assert not visited.page.is_visible("#result")
    assert visited.page.is_disabled("#download")
    # The browser's own note of the refused request; the page adds none.
    assert all("422" in complaint for complaint in visited.complaints)
    visited.complaints.clear()


def test_without_websockets_it_speaks_over_http(browser: Any, port: int) -> None:
    with visit(browser, port, WITHOUT_SOCKETS) as visited:
        visited.until("document.querySelector('#voice').options.length")
        speak(visited, TEXT)
        visited.until_position(0.5)
        visited.until_heard()
        assert downloaded(visited) == whole(port, TEXT, 3)
        assert visited.text("#transcript").endswith("It was worth every penny!")
        assert not visited.complaints


@pytest.mark.parametrize(
    "missing", [WITHOUT_WORKLETS, WITH_ONE_RATE], ids=["no worklet", "one rate"]
)
def test_it_plays_where_the_browser_can_do_less(browser: Any, port: int, missing: str) -> None:
    with visit(browser, port, missing) as visited:
        visited.until("document.querySelector('#voice').options.length")
        speak(visited, SHORT)
        visited.until_position(0.3)
        visited.until_heard()
        visited.until_quiet()
        assert not [said for said in visited.complaints if "ScriptProcessor" not in said]


def test_it_asks_for_a_key_where_one_is_needed(
    browser: Any, synthesizer: Synthesizer, tmp_path: Path
) -> None:
    secret, entry = keys.new("page")
    (tmp_path / "keys.toml").write_text(entry.to_toml())
    settings = ServerSettings(voices_dir=ROOT / "checkpoints", api_keys_file=tmp_path / "keys.toml")
    with live(create_app(settings, synthesizer)) as port, visit(browser, port) as visited:
        visited.until("!document.querySelector('#key-field').hidden")
        assert "key" in visited.text("#problem")
        for given, known in (("wrong", False), (secret, True)):
            visited.page.fill("#key", given)
            visited.page.press("#key", "Enter")
            offered = "document.querySelector('#voice').options.length > 0"
            visited.until(f"{offered} || !document.querySelector('#problem').hidden")
            visited.page.wait_for_timeout(200)
            assert visited.page.evaluate(f"() => {offered}") == known
        speak(visited, SHORT)
        visited.until_position(0.2)
        visited.page.set_input_files("#file", RECORDING)
        visited.until("document.querySelector('#result-title').textContent === 'Copy'")
        visited.until_position(0.2)
        assert all("401" in complaint for complaint in visited.complaints)


def test_it_can_be_used_on_a_small_screen_and_by_keyboard(browser: Any, port: int) -> None:
    with visit(browser, port, viewport={"width": 360, "height": 640}) as visited:
        visited.until("document.querySelector('#voice').options.length")
        page = visited.page
        for label in ("Text", "Voice", "Speaker", "Speed", "Pitch", "Seed", "Choose a recording"):
            assert page.get_by_label(label).first.count() == 1, label
        page.focus("#text")
        page.keyboard.press("Control+Enter")
        visited.until_position(0.3)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
        assert page.get_by_role("slider", name="Position in the speech").count() == 1
        assert page.get_by_role("status").inner_text()
        page.focus("#stop")
        assert page.evaluate("() => getComputedStyle(document.activeElement).outlineWidth") != "0px"
        page.keyboard.press("Enter")
        visited.until_quiet()


def save_picture(visited: Visit, path: Path) -> None:
    """The page down to the figures, with fewer colours: it is to stay small."""
    from PIL import Image

    box = visited.page.locator("#result").bounding_box()
    height = round(box["y"] + box["height"] + 16)
    taken = visited.page.screenshot(
        full_page=True, clip={"x": 0, "y": 0, "width": 1000, "height": height}
    )
    small = Image.open(io.BytesIO(taken)).convert("RGB").quantize(128)
    path.parent.mkdir(parents=True, exist_ok=True)
    small.save(path, optimize=True)
