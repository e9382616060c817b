"""The page at `/` in Chromium, with the voice in `checkpoints`: it speaks, draws and compares.

`VOCODER_PAGE_PICTURE=docs/service/page.png pytest tests/server/routes/test_page.py -k speaks`
takes a screenshot while it plays.
"""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import soundfile
from browsing import RECORDING, SHORT, TEXT, Visit, visit

RATE = 16000
WAVE, SPECTROGRAM = (0.1, 0.35), (0.45, 0.9)
"""Their positions on the canvas."""


@pytest.fixture
def visited(browser: Any, page_port: int) -> Iterator[Visit]:
    """The page; at the end there must be no errors, and nothing loaded from elsewhere."""
    with visit(
        browser, page_port, color_scheme="dark", viewport={"width": 1000, "height": 800}
    ) as seen:
        yield seen
        assert not seen.complaints
        assert not seen.elsewhere


def test_it_speaks_draws_and_offers_the_same_audio_as_a_file(visited: Visit) -> None:
    assert visited.loudest(0.1) == 0
    visited.speak(TEXT)
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
    wav = visited.downloaded()
    assert wav == visited.whole(TEXT, 3)
    seconds = (len(wav) - 44) / 2 / RATE
    assert visited.text("#length") == f"{seconds:.2f} s"
    assert visited.text("#status") == f"Done: {seconds:.1f} s of speech."
    assert 0 < int(visited.text("#first-audio").removesuffix(" ms")) < 60_000
    assert 0 < float(visited.text("#real-time-factor")) < 60
    assert visited.text("#seed-used") == "3"
    assert visited.text("#gaps").isdecimal()
    answer = httpx2.get(f"{visited.origin}/v1/audio/voices").json()["data"][0]
    assert visited.page.get_attribute("#voice-hash", "title") == answer["hash"]


def test_speed_pitch_and_the_largest_seed_reach_the_server(visited: Visit) -> None:
    visited.page.fill("#speed", "0.5")
    visited.page.fill("#pitch", "-2")
    assert visited.text("#speed-value") == "× 1.41"
    assert visited.text("#pitch-value") == "−2 semitones"
    visited.speak(SHORT, seed=2**63 - 1)
    assert visited.downloaded() == visited.whole(SHORT, 2**63 - 1, speed=1.41, pitch=-2)
    assert visited.text("#seed-used") == str(2**63 - 1)


def test_a_random_seed_is_shown_and_can_be_kept(visited: Visit) -> None:
    visited.speak(SHORT, seed=None)
    visited.until("!document.querySelector('#keep-seed').hidden")
    seed = visited.text("#seed-used")
    assert visited.page.get_attribute("#seed", "placeholder") == seed
    assert visited.downloaded() == visited.whole(SHORT, int(seed))
    visited.page.click("#keep-seed")
    assert visited.page.input_value("#seed") == seed


def streams(visited: Visit) -> float:
    """The server's running streams."""
    metrics = httpx2.get(f"{visited.origin}/metrics").text
    found = re.search(r"^vocoder_streams(?:\{.*\})? (\S+)$", metrics, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_stop_takes_effect_at_once_and_reaches_the_server(visited: Visit) -> None:
    visited.speak("This is a long text. " * 50)
    visited.until_position(0.5)
    assert streams(visited) == 1
    visited.page.click("#stop")
    visited.until_quiet()
    assert visited.loudest(0.2) == 0
    assert visited.text("#status") == "Stopped."
    length = visited.text("#length")
    visited.page.wait_for_timeout(500)
    assert visited.text("#length") == length
    assert streams(visited) == 0
    samples, rate = soundfile.read(io.BytesIO(visited.downloaded()))
    assert f"{len(samples) / rate:.2f} s" == length


def test_a_new_request_replaces_the_one_before(
    visited: Visit,
) -> None:
    visited.speak("This is a long text. " * 50)
    visited.until_position(0.2)
    visited.speak("This is another long text. " * 50)
    visited.speak(SHORT)
    visited.until("document.querySelector('#status').textContent.startsWith('Done')")
    assert visited.text("#transcript") == SHORT
    assert visited.downloaded() == visited.whole(SHORT, 3)


def test_playback_pauses_resumes_and_seeks(visited: Visit) -> None:
    page = visited.page
    visited.speak(TEXT)
    visited.until_position(0.4)
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "Play speech"
    visited.until_quiet()
    assert visited.loudest(0.2) == 0
    paused = float(page.get_attribute("#picture", "aria-valuenow"))
    assert 0.3 < paused < 6
    visited.until("document.querySelector('#status').textContent.startsWith('Done')")
    page.focus("#picture")
    page.keyboard.press("ArrowRight")
    assert float(page.get_attribute("#picture", "aria-valuenow")) == pytest.approx(paused + 0.5)
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
def test_a_recording_is_resynthesised_next_to_the_original(visited: Visit, way: str) -> None:
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
    features = httpx2.post(f"{url}/analyze", content=data, timeout=60)
    query = {"speaker": "slt", "seed": 5, "response_format": "pcm"}
    copy = httpx2.post(f"{url}/vocode", content=features.content, params=query, timeout=60)
    assert visited.downloaded()[44:] == copy.content
    samples, _ = soundfile.read(RECORDING)
    assert abs(len(copy.content) / 2 - len(samples)) < 200


def test_the_servers_errors_are_shown(visited: Visit) -> None:
    visited.speak("!?")
    visited.until("!document.querySelector('#problem').hidden")
    assert "nothing to speak" in visited.text("#problem")
    assert not visited.complaints
    visited.speak(SHORT)
    visited.until("document.querySelector('#problem').hidden")
    visited.until_position(0.2)
    visited.drop("notes.txt", "text/plain", b"no recording")
    visited.until("!document.querySelector('#problem').hidden")
    assert "WAV, FLAC, MP3 or OGG" in visited.text("#problem")
    assert not visited.page.is_visible("#result")
    assert visited.page.is_disabled("#download")
    # The browser's own message about the refused request; the page adds none.
    assert all("422" in complaint for complaint in visited.complaints)
    visited.complaints.clear()


def save_picture(visited: Visit, path: Path) -> None:
    """The page down to the figures, with fewer colours to keep it small."""
    from PIL import Image

    end = "() => scrollY + document.querySelector('#result').getBoundingClientRect().bottom"
    height = round(visited.page.evaluate(end)) + 16
    taken = visited.page.screenshot(
        full_page=True, clip={"x": 0, "y": 0, "width": 1000, "height": height}
    )
    small = Image.open(io.BytesIO(taken)).convert("RGB").quantize(128)
    path.parent.mkdir(parents=True, exist_ok=True)
    small.save(path, optimize=True)
