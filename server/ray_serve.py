"""The server on a Ray cluster: ``serve run vocoder.server.ray_serve:application``.

Each replica is a complete server with its own engine and admission. Ray Serve distributes HTTP
requests and WebSockets over the replicas, restarts dead ones, and scales with the load. The server
is configured by environment variables, as everywhere. Needs ``vocoder[ray]``.
"""

from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve
from ray.serve.config import AutoscalingConfig

from vocoder.errors import ConfigError

from . import logs
from .app import build_app, tune_process
from .service.service import Service
from .settings import ServerSettings

WAITING = 16
"""Requests beyond its streams that a replica receives, so that its own admission answers them."""

TARGET_SHARE = 0.7
"""Utilisation of a replica's streams above which more replicas are started."""


class Options(BaseModel):
    """Options of ``serve run vocoder.server.ray_serve:application KEY=VALUE ...``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: Annotated[int, Field(ge=1, description="live streams per replica")] = 16
    cpus: Annotated[float, Field(gt=0, description="CPU cores per replica")] = 2.0
    gpus: Annotated[float, Field(ge=0, description="GPUs per replica; may be a fraction")] = 0.0
    min_replicas: Annotated[int, Field(ge=1, description="minimum number of replicas")] = 1
    max_replicas: Annotated[int, Field(ge=1, description="maximum number of replicas")] = 8
    downscale_delay_s: Annotated[
        float, Field(ge=0, description="seconds of lower load before a replica drains")
    ] = 300.0


class Replica:
    """A replica of Ray Serve.

    Attributes:
        app: the application, set by ``serve.ingress``.
    """

    app: FastAPI

    def __init__(self) -> None:
        """Set up the process, before the application is built."""
        logs.join(ServerSettings.load().log_format)
        tune_process()

    async def check_health(self) -> None:
        """Called before the first request, and every few seconds after it.

        Raises:
            RuntimeError: no voice is loaded, or no audio can be generated any more.
        """
        service = self.app.state.service
        assert isinstance(service, Service)
        await service.readiness.settled()
        reason = service.unhealthy() if service.readiness.loaded else service.readiness.reason
        if reason:
            raise RuntimeError(reason)


def application(given: dict[str, Any]) -> serve.Application:
    """The deployment described by these options, for Ray Serve to run.

    Raises:
        ConfigError: an option or a setting is invalid.
    """
    try:
        options = Options(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Options.model_fields)
        raise ConfigError(f"option {name}: {first['msg']}; known are {known}", param=name) from None
    if options.max_replicas < options.min_replicas:
        raise ConfigError(
            f"max_replicas {options.max_replicas} is less than min_replicas {options.min_replicas}",
            param="max_replicas",
        )
    settings = ServerSettings.load(
        max_streams=options.streams,
        threads=max(1, round(options.cpus)),
        device="cuda" if options.gpus else "cpu",
    )
    return (
        serve.deployment(serve.ingress(build_app)(Replica))
        .options(
            name="speech",
            ray_actor_options={
                "num_cpus": options.cpus,
                "num_gpus": options.gpus,
                "runtime_env": {"env_vars": settings.to_environment()},
            },
            max_ongoing_requests=options.streams + WAITING,
            graceful_shutdown_timeout_s=settings.shutdown_grace_s,
            autoscaling_config=AutoscalingConfig(
                min_replicas=options.min_replicas,
                max_replicas=options.max_replicas,
                target_ongoing_requests=max(1.0, TARGET_SHARE * options.streams),
                downscale_delay_s=options.downscale_delay_s,
            ),
        )
        .bind()
    )
