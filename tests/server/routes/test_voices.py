"""Lists of voices, health, the documentation, and unknown routes."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from serving import FEATURES, save_voice

from vocoder.server.app import build_app, create_app
from vocoder.server.settings import ServerSettings
from vocoder.voices.registry import VoiceRegistry


def test_voices_are_listed_with_the_settings_of_their_features(
    client: TestClient, registry: VoiceRegistry
) -> None:
    answer = client.get("/v1/audio/voices").json()
    assert answer["object"] == "list"
    assert answer["data"] == answer["voices"]
    assert answer["voices"][0] == {
        "id": "arctic",
        "name": "Arctic",
        "speakers": ["slt", "花子"],
        "tags": [],
        "conditioning": "mel",
        "reads_text": True,
        "sample_rate_hz": 8000,
        "licence": "MIT",
        "hash": registry.get("arctic").digest,
        "features": FEATURES.model_dump(),
    }


def test_models_have_openais_format(client: TestClient) -> None:
    answer = client.get("/v1/models").json()
    assert [model["id"] for model in answer["data"]] == ["arctic", "other"]
    first = answer["data"][0]
    assert (answer["object"], first["object"]) == ("list", "model")
    assert first["created"] > 0
    assert first["owned_by"]
    assert client.get("/v1/models/arctic").json() == first


@pytest.mark.parametrize("name", ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"])
def test_openai_models_are_the_default_voice(client: TestClient, name: str) -> None:
    default = client.get("/v1/models/arctic").json()
    assert client.get(f"/v1/models/{name}").json() == default | {"id": name}


def test_an_unknown_model(client: TestClient) -> None:
    answer = client.get("/v1/models/none")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/none", 404, "not_found"),
        ("GET", "/docs/assets/none.js", 404, "not_found"),
        ("GET", "/docs/assets/../../app.py", 404, "not_found"),
        ("GET", "/v1/audio/vocode", 405, "method_not_allowed"),
        ("PUT", "/v1/audio/vocode", 405, "method_not_allowed"),
        ("POST", "/v1/audio/vocode/", 404, "not_found"),
    ],
)
def test_routes_that_do_not_exist(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["code"] == code
    if status == 405:
        assert answer.headers["allow"] == "POST"
        assert "POST" in error["message"]


def test_ready_once_the_voice_is_loaded(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    for _ in range(1000):
        if (answer := client.get("/readyz")).status_code == 200:
            break
        assert answer.json()["error"]["code"] == "not_ready"
    assert answer.json() == {"status": "ready"}


def test_not_ready_without_voices(settings: ServerSettings, tmp_path: Path) -> None:
    with TestClient(create_app(settings, registry=VoiceRegistry(tmp_path))) as client:
        assert client.get("/healthz").status_code == 200
        for path, method in (("/readyz", "GET"), ("/v1/audio/vocode", "POST")):
            answer = client.request(method, path)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "not_ready"
            assert answer.headers["retry-after"] == "5"
        assert client.get("/v1/audio/voices").json()["voices"] == []


def test_ready_after_a_damaged_voice_is_repaired(settings: ServerSettings, tmp_path: Path) -> None:
    save_voice(tmp_path, "arctic")
    weights = tmp_path / "arctic" / "vocoder.safetensors"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1])
    with TestClient(create_app(settings, registry=VoiceRegistry(tmp_path))) as client:
        for _ in range(1000):
            answer = client.get("/readyz")
            assert answer.status_code == 503
            if "log" in answer.json()["error"]["message"]:
                break
        weights.write_bytes(sound)
        assert any(client.get("/readyz").status_code == 200 for _ in range(1000))


def test_the_documentation_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 3
    for link in links:
        assert link.startswith("/docs/assets/")
        assert client.get(link).status_code == 200
    assert '"validatorUrl": null' in page.text


def test_openapi_documents_bodies_headers_and_errors(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    vocode = document["paths"]["/v1/audio/vocode"]["post"]
    names = {parameter["name"] for parameter in vocode["parameters"]}
    assert names == {
        *("voice", "speaker", "tags", "seed", "clarity"),
        *("response_format", "sample_rate", "engine", "stream"),
    }
    bodies = vocode["requestBody"]["content"]
    assert set(bodies) >= {"application/octet-stream", "application/json"}
    assert set(bodies["application/json"]["example"]) <= set(
        bodies["application/json"]["schema"]["properties"]
    )
    assert {"400", "404", "409", "413", "415", "422", "503"} <= set(vocode["responses"])
    audio = {"audio/mpeg", "audio/wav", "audio/flac", "audio/pcm"}
    assert set(vocode["responses"]["200"]["content"]) == audio
    speech = document["paths"]["/v1/audio/speech"]["post"]
    assert set(speech["responses"]["200"]["content"]) == audio | {"text/event-stream"}
    plan = document["paths"]["/v1/audio/speech/plan"]["post"]
    assert speech["requestBody"] == plan["requestBody"]
    body = speech["requestBody"]["content"]["application/json"]
    assert set(body["example"]) <= set(body["schema"]["properties"])
    assert body["schema"]["required"] == ["input"]
    for operation in (vocode, speech, plan):
        for status, response in operation["responses"].items():
            if status != "200":
                error = response["content"]["application/json"]
                assert error["schema"]["$ref"].endswith("/ErrorResponse")
                assert set(error["example"]["error"]) >= {"message", "type", "code"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/(\w+)"', client.get("/openapi.json").text))
    assert references <= set(document["components"]["schemas"])


def test_an_application_is_built_from_the_environment(
    voices_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOCODER_VOICES_DIR", str(voices_dir))
    with TestClient(build_app()) as client:
        assert len(client.get("/v1/models").json()["data"]) == 2
