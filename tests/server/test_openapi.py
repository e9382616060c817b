"""The server conforms to its OpenAPI document, checked by schemathesis."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from serving import features_of, live

from vocoder.features.feature_file import serialize
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

EXAMPLES = 40
TIMEOUT_S = 300


def schemathesis(app: FastAPI, folder: Path) -> tuple[str, dict[str, Any]]:
    """Runs it on the whole document, reproducibly; returns its output and report."""
    features, report = folder / "mel.safetensors", folder / "report.json"
    features.write_bytes(serialize(features_of(3)))
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "openapi_rules",
        "PYTHONPATH": str(Path(__file__).parent),
        "FEATURE_FILE": str(features),
    }
    with live(app) as port:
        run = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                *(f"http://127.0.0.1:{port}/openapi.json", "--generation-deterministic"),
                *("--max-examples", str(EXAMPLES), "--report-json-path", str(report)),
                # A busy machine may be slow.
                *("--suppress-health-check", "too_slow", "--request-timeout", str(TIMEOUT_S)),
            ],
            env=environment,
            cwd=folder,  # It leaves folders of its own where it runs.
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    assert report.exists(), run.stdout + run.stderr
    return run.stdout, json.loads(report.read_text())


def test_every_operation_conforms_to_the_document(
    voices_dir: Path,
    synthesizer: Synthesizer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = ServerSettings(voices_dir=voices_dir, max_body_bytes=100_000, max_audio_s=5.0)
    app = create_app(settings, synthesizer)
    caplog.set_level("INFO", "vocoder.server")
    printed, report = schemathesis(app, tmp_path)
    assert report["failures"] == report["errors"] == [], printed
    assert (report["complete"], report["exit_code"]) == (True, 0), printed
    paths = app.openapi()["paths"]
    operations = sum(len(methods) for methods in paths.values())
    assert report["operations"]["tested"] == report["operations"]["total"] == operations
    assert "unexpected error" not in caplog.text
    # Not everything was refused, or little would have been tested.
    lines = [record.fields for record in caplog.records if record.message == "request"]  # type: ignore[attr-defined]
    accepted = {line["path"] for line in lines if line["status"] == 200}
    assert accepted >= {path.format(model="arctic") for path in paths}


def test_a_planted_violation_is_found(tmp_path: Path) -> None:
    app = FastAPI()

    @app.get("/", response_model=int)
    async def lie() -> JSONResponse:
        return JSONResponse("not a number")

    printed, report = schemathesis(app, tmp_path)
    assert report["exit_code"] == 1
    assert [failure["type"] for failure in report["failures"]] == ["JsonSchemaError"], printed
