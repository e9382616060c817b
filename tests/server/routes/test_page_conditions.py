"""The page under constraints: old browsers, blocked WebSockets, keys, small screens."""

from pathlib import Path
from typing import Any

import pytest
from browsing import RECORDING, SHORT, TEXT, shipped_voice, visit

from vocoder.server.middleware import api_keys as keys

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


def test_without_websockets_it_speaks_over_http(browser: Any, page_port: int) -> None:
    with visit(browser, page_port, WITHOUT_SOCKETS) as visited:
        visited.speak(TEXT)
        visited.until_position(0.5)
        visited.until_heard()
        assert visited.downloaded() == visited.whole(TEXT, 3)
        assert visited.text("#transcript").endswith("It was worth every penny!")
        assert not visited.complaints


@pytest.mark.parametrize(
    "missing", [WITHOUT_WORKLETS, WITH_ONE_RATE], ids=["no worklet", "one rate"]
)
def test_it_plays_in_browsers_with_fewer_features(
    browser: Any, page_port: int, missing: str
) -> None:
    with visit(browser, page_port, missing) as visited:
        visited.speak(SHORT)
        visited.until_position(0.3)
        visited.until_heard()
        visited.until_quiet()
        assert not [said for said in visited.complaints if "ScriptProcessor" not in said]


def test_it_asks_for_a_key_if_one_is_needed(browser: Any, tmp_path: Path) -> None:
    secret, entry = keys.new("page")
    file = tmp_path / "keys.toml"
    file.write_text(entry.to_toml())
    with shipped_voice(api_keys_file=file) as port, visit(browser, port) as visited:
        assert visited.page.is_visible("#key")
        assert "an API key is required" in visited.text("#problem")
        visited.page.fill("#key", "wrong")
        visited.page.press("#key", "Enter")
        visited.until("document.querySelector('#problem').textContent.includes('unknown')")
        visited.page.fill("#key", secret)
        visited.page.press("#key", "Enter")
        visited.until("document.querySelector('#voice').options.length")
        assert not visited.page.is_visible("#problem")
        visited.speak(SHORT)
        visited.until_position(0.2)
        visited.page.set_input_files("#file", RECORDING)
        visited.until("document.querySelector('#result-title').textContent === 'Copy'")
        visited.until_position(0.2)
        assert all("401" in complaint for complaint in visited.complaints)


def test_it_can_be_used_on_a_small_screen_and_by_keyboard(browser: Any, page_port: int) -> None:
    with visit(browser, page_port, viewport={"width": 360, "height": 640}) as visited:
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
