"""What the service is deployed with: the Dockerfile, compose, monitoring, manifests."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import vocoder
from vocoder.server.metrics import Metrics
from vocoder.server.settings import ServerSettings

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
DOCKERFILE = ROOT / "Dockerfile"
PARTS = ("bucket", "count")
KUBERNETES = "1.34"
BASE = DEPLOY / "kubernetes/base"
MANIFESTS = sorted(path for path in BASE.glob("*.yaml") if path.stem != "kustomization")


def run(*command: str) -> str:
    """What a command prints, or a skip where it is not installed."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(command[0]) or shutil.which(command[0], path=beside)
    if found is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([found, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_dockerfile_is_clean() -> None:
    assert run("hadolint", str(DOCKERFILE)) == ""


def test_the_image_is_of_this_version() -> None:
    assert f'image.version="{vocoder.__version__}"' in DOCKERFILE.read_text()


def test_what_is_copied_is_not_ignored() -> None:
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    for name in {part for line in copied for part in line.split()[:-1]}:
        assert f"!{name}" in kept
        assert (ROOT / name).exists()


@pytest.mark.parametrize("profile", ["cpu", "gpu", "monitoring"])
def test_compose_takes_its_file(profile: str) -> None:
    run("docker-compose", "--profile", profile, "config", "--quiet")


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_the_cpu_is_what_compose_starts() -> None:
    assert "COMPOSE_PROFILES=cpu\n" in (ROOT / ".env").read_text()
    services = compose()["services"]
    assert {name for name, service in services.items() if "cpu" in service["profiles"]} == {"cpu"}
    assert all("profiles" in service for service in services.values())


@pytest.mark.parametrize("service", ["cpu", "gpu"])
def test_the_services_are_locked_down(service: str) -> None:
    found = compose()["services"][service]
    assert found["read_only"] is True
    assert found["tmpfs"] == "/tmp"
    assert found["cap_drop"] == ["ALL"]
    grace = ServerSettings.model_fields["shutdown_grace_s"].default
    assert int(found["stop_grace_period"].removesuffix("s")) > grace


def test_every_setting_is_in_the_environment_file() -> None:
    text = (ROOT / "vocoder.env").read_text()
    for name, field in ServerSettings.model_fields.items():
        assert f"# {field.description}\n" in text, name
        assert re.search(rf"^#?VOCODER_{name.upper()}=.+$", text, re.MULTILINE), name
    known = {f"VOCODER_{name.upper()}" for name in ServerSettings.model_fields}
    assert set(re.findall(r"^#?(VOCODER_\w+)=", text, re.MULTILINE)) == known


def test_the_environment_files_values_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (ROOT / "vocoder.env").read_text().splitlines()
    given = dict(line.lstrip("#").split("=", 1) for line in lines if re.match("#?VOCODER_", line))
    del given["VOCODER_SETTINGS_FILE"]  # An example of a file that is not there.
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = ServerSettings.load()
    assert settings.cache_dir == Path("/cache/audio")
    examples = {
        *("host", "device", "voices_dir", "more_voices_dir", "weights", "threads", "max_streams"),
        *("voice_aliases", "api_keys_file", "cors_origins", "cache_dir"),
        *("uds", "root_path", "client_engines"),
    }
    for name, field in ServerSettings.model_fields.items():
        if name not in examples:
            assert getattr(settings, name) == field.default, name


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    board = json.loads((DEPLOY / "monitoring/dashboards/vocoder.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = {name for text in expressions for name in re.findall(r"(?:vocoder|process)_\w+", text)}
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", Metrics().text().decode(), re.MULTILINE)
    there = {name for name, _ in kinds if not name.endswith("_created")}
    parts = {f"{name}_{p}": name for name, kind in kinds if kind == "histogram" for p in PARTS}
    assert asked <= there | parts.keys()
    # And of the service's own none is left out.
    shown = {parts.get(name, name) for name in asked}
    assert {name for name in there if name.startswith("vocoder_")} <= shown


def test_prometheus_takes_its_file() -> None:
    run("promtool", "check", "config", str(DEPLOY / "monitoring/prometheus.yml"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_takes_the_manifests(path: Path) -> None:
    kubernetes_validate.validate(yaml.safe_load(path.read_text()), KUBERNETES, strict=True)


def test_a_mistake_in_a_manifest_is_found() -> None:
    manifest = yaml.safe_load((BASE / "deployment.yaml").read_text())
    manifest["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_manifests_belong_together() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in MANIFESTS]
    settings = yaml.safe_load((BASE / "settings.yaml").read_text())["data"]
    ServerSettings.load(**{n.removeprefix("VOCODER_").lower(): v for n, v in settings.items()})
    pod = yaml.safe_load((BASE / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = int(settings["VOCODER_SHUTDOWN_GRACE_S"])
    assert pod["terminationGracePeriodSeconds"] > pause + grace
    paths = {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness")}
    assert paths == {"/healthz", "/readyz"}
    scaled = yaml.safe_load((BASE / "autoscaling.yaml").read_text())["spec"]["metrics"][0]
    adapter = yaml.safe_load((BASE.parent / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert scaled["pods"]["metric"]["name"] == rule["name"]["as"]


def test_pods_with_a_gpu() -> None:
    made = list(yaml.safe_load_all(run("kubectl", "kustomize", str(BASE.parent / "gpu"))))
    assert len(made) == len(MANIFESTS)
    for manifest in made:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    (deployment,) = (manifest for manifest in made if manifest["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"}
    assert {"name": "VOCODER_DEVICE", "value": "cuda"} in container["env"]
    assert container["readinessProbe"]  # What the base says is still there.
