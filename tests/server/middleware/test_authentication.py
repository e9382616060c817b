"""Which requests need a key, how it can be sent, and how requests without one are refused."""

import asyncio
import hashlib
import http.client
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from keyed import KeyFile, application, bearer
from serving import error_of, live
from starlette.testclient import WebSocketDenialResponse
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from vocoder.errors import ConfigError
from vocoder.server.app import create_app
from vocoder.server.metrics import Metrics
from vocoder.server.middleware import api_keys as keys
from vocoder.server.middleware import authentication
from vocoder.server.middleware.api_keys import Keyring
from vocoder.server.middleware.authentication import Authentication
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.toml")


OPEN = ["/", "/web/app.js", "/healthz", "/readyz", "/docs", "/docs/assets/a.js", "/openapi.json"]
CLOSED = ["/v1/models", "/metrics", "/webs", "/docsx", "/none", "/broken", "/healthz/"]


def test_without_a_key_file_everything_is_open() -> None:
    client = TestClient(application(None), raise_server_exceptions=False)
    for path in (*OPEN, "/v1/models", "/metrics"):
        assert client.get(path).status_code == 200
    assert client.get("/v1/models", headers=bearer("any")).json() == {"name": None}
    assert client.post("/v1/speak?characters=1000000").status_code == 200
    with client.websocket_connect("/socket", subprotocols=["token", "any"]) as socket:
        assert socket.accepted_subprotocol == "token"


def test_which_paths_need_a_key(file: KeyFile) -> None:
    file.add("ann")
    client = TestClient(application(Keyring(file.path)))
    for path in OPEN:
        assert client.get(path).status_code == 200, path
    for path in CLOSED:
        assert client.get(path).status_code == 401, path
    for method in ("POST", "OPTIONS", "HEAD", "DELETE"):
        assert client.request(method, "/v1/models").status_code == 401, method
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/"):
        pass


def test_metrics_may_be_open(file: KeyFile) -> None:
    file.add("ann")
    client = TestClient(application(Keyring(file.path), metrics_open=True))
    assert client.get("/metrics").status_code == 200
    assert client.get("/v1/models").status_code == 401


def test_a_root_path_does_not_change_which_paths_need_a_key(file: KeyFile) -> None:
    file.add("ann")
    client = TestClient(application(Keyring(file.path)), root_path="/speech")
    for path, status in (("/healthz", 200), ("/v1/models", 401), ("healthz", 401)):
        assert client.get(f"/speech{path}").status_code == status
        if path.startswith("/"):
            assert client.get(path).status_code == status


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "Token {}", "TOKEN  {}", None], ids=str)
def test_a_key_can_be_sent_in_any_of_the_headers(file: KeyFile, form: str | None) -> None:
    secret = file.add("ann")
    file.add("ben")
    headers = {"x-api-key": secret} if form is None else {"authorization": form.format(secret)}
    client = TestClient(application(Keyring(file.path)))
    assert client.get("/v1/models", headers=headers).json() == {"name": "ann"}
    with client.websocket_connect("/socket", headers=headers) as socket:
        assert socket.receive_text() == "ann"
        assert socket.accepted_subprotocol is None
    headers["authorization"] = headers.get("authorization", "Basic dXNlcjpwYXNz")
    assert client.get("/v1/models", headers=headers).json() == {"name": "ann"}


def test_a_browser_sends_the_key_as_a_subprotocol(file: KeyFile) -> None:
    secret = file.add("ann")
    client = TestClient(application(Keyring(file.path)))
    with client.websocket_connect("/socket", subprotocols=["token", secret]) as socket:
        assert socket.accepted_subprotocol == "token"
        assert socket.receive_text() == "ann"
    for offered in (["token"], [secret, "token"], ["token", "x"], [secret]):
        with (
            pytest.raises(WebSocketDenialResponse) as denial,
            client.websocket_connect("/socket", subprotocols=offered),
        ):
            pass
        error_of(denial.value, 401)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"x-api-key": ""},
    ],
)
def test_no_key(file: KeyFile, headers: dict[str, str]) -> None:
    secret = file.add("ann")
    client = TestClient(application(Keyring(file.path)))
    answer = client.get(f"/v1/models?key={secret}&token={secret}", headers=headers)
    error = error_of(answer, 401)
    assert (error["type"], error["code"]) == ("invalid_request_error", "missing_api_key")
    assert "Authorization: Bearer" in error["message"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="vocoder"'
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("given", ["x", "vk_", "\xe9", "x" * 10_000, "none"])
def test_a_wrong_key(file: KeyFile, given: str) -> None:
    secret = file.add("ann")
    client = TestClient(application(Keyring(file.path)))
    digest = hashlib.sha256(secret.encode()).hexdigest()
    for wrong in (given, secret[:-1], secret + "x", secret.upper(), digest, "ann"):
        headers: Any = {"authorization": f"Bearer {wrong}".encode("latin-1")}
        answer = client.get("/v1/models", headers=headers)
        error = error_of(answer, 401)
        assert error["code"] == "invalid_api_key"
        assert "invalid_token" in answer.headers["www-authenticate"]
        assert wrong not in answer.text
        with (
            pytest.raises(WebSocketDenialResponse) as denial,
            client.websocket_connect("/socket", headers=headers),
        ):
            pass
        assert error_of(denial.value, 401) == error


def test_the_log_has_the_keys_name_but_not_the_key(
    file: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = file.add("ann", requests_per_minute=1)
    client = TestClient(application(Keyring(file.path)))
    answers = [client.get("/v1/models", headers=bearer(secret)) for _ in range(2)]
    answers.append(client.get("/v1/models", headers=bearer(secret + "x")))
    assert [answer.status_code for answer in answers] == [200, 429, 401]
    lines = [
        r.fields for r in caplog.records if r.name == "vocoder.server.middleware.request_context"
    ]  # type: ignore[attr-defined]
    assert [line.get("key") for line in lines] == ["ann", "ann", None]
    told = caplog.text + json.dumps(lines, default=str) + file.path.read_text()
    told += "".join(answer.text + str(answer.headers) for answer in answers)
    assert secret not in told
    assert secret.removeprefix(keys.PREFIX) not in told


def test_openapi_says_which_operations_need_a_key() -> None:
    app = application(None)
    authentication.document(app, metrics_open=False)
    document = app.openapi()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    paths = document["paths"]
    assert paths["/v1/models"]["get"]["security"] == [{"key": []}]
    assert paths["/metrics"]["get"]["security"]
    assert {"401", "429"} <= paths["/v1/speak"]["post"]["responses"].keys()
    for path in ("/", "/healthz", "/readyz"):
        assert "security" not in paths[path]["get"]
        assert "401" not in paths[path]["get"]["responses"]
    assert app.openapi() is document
    app = application(None)
    authentication.document(app, metrics_open=True)
    assert "security" not in app.openapi()["paths"]["/metrics"]["get"]


def test_an_upload_without_a_key_is_answered_and_the_connection_stays_open(file: KeyFile) -> None:
    secret = file.add("ann")
    with live(application(Keyring(file.path))) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/v1/speak", bytes(2**22))
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (401, True)
        connection.request("GET", "/v1/models", headers=bearer(secret))
        assert connection.getresponse().status == 200
        connection.close()


def test_sockets_of_a_real_server(file: KeyFile) -> None:
    secret = file.add("ann", concurrent=1)
    keyring = Keyring(file.path)
    with live(application(keyring)) as port:
        url = f"ws://127.0.0.1:{port}/socket"
        offered = [Subprotocol("token"), Subprotocol(secret)]
        for _ in range(3):
            with connect(url, subprotocols=offered) as socket:
                assert (socket.subprotocol, socket.recv()) == ("token", "ann")
                with pytest.raises(InvalidStatus) as refusal:
                    connect(url, additional_headers=bearer(secret))
                assert refusal.value.response.status_code == 429
                assert refusal.value.response.headers["retry-after"] == "1"
                socket.socket.shutdown(2)  # It vanishes.
            identity = keyring.find(secret.encode())
            assert identity is not None
            for _ in range(1000):
                if not identity.held:
                    break
                time.sleep(0.005)
            assert identity.held == 0


def test_the_application_guards_its_own_routes(
    file: KeyFile, voices_dir: Path, synthesizer: Synthesizer
) -> None:
    headers = bearer(file.add("ann"))
    settings = ServerSettings(
        voices_dir=voices_dir, api_keys_file=file.path, cors_origins=("https://app.example",)
    )
    app = create_app(settings, synthesizer)
    document = app.openapi()
    with TestClient(app) as client:
        for path in ("/", "/web/page.js", "/healthz", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200, path
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                guarded = path not in ("/healthz", "/readyz")
                assert ("security" in operation) == guarded
                assert ("401" in operation["responses"]) == guarded
                answer = client.request(method, path, headers={"origin": "https://app.example"})
                assert (answer.status_code == 401) == guarded, path
                assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert client.get("/metrics", headers=headers).status_code == 200
        assert client.get("/v1/models", headers=headers).status_code == 200
    file.path.write_text("")
    with pytest.raises(ConfigError, match=r"no \[\[key\]\]"):
        create_app(settings, synthesizer)


def test_a_server_without_denial_responses_still_refuses(file: KeyFile) -> None:
    file.add("ann")
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    app = Authentication(application(None), Keyring(file.path), Metrics(), metrics_open=False)
    scope = {"type": "websocket", "path": "/socket", "headers": [], "subprotocols": []}
    asyncio.run(app(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]
