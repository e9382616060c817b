"""Liveness and readiness."""

from typing import Any

from fastapi import APIRouter

from ..errors import Refusal
from ..schemas import ErrorResponse, Health, Ready
from ..service.service import Service, ServiceDependency

router = APIRouter(tags=["health"])

NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {
        "model": ErrorResponse,
        "description": "The server is loading a voice, measuring its capacity, shutting down, or "
        "broken; the message says which.",
    }
}


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Health:
    """Always 200, also while voices are loading and while audio is generated."""
    return Health(status="ok")


@router.get(
    "/readyz",
    summary="Is the server ready for clients?",
    responses=NOT_READY,
    response_model_exclude_defaults=True,
)
async def readyz(service: ServiceDependency) -> Ready:
    """200 once the default voice is loaded, while the server is healthy and not shutting down."""
    if reason := _unready(service):
        headers = {"retry-after": str(service.settings.retry_after_s)}
        code = "draining" if service.draining.is_set() else "not_ready"
        raise Refusal(503, reason, code=code, headers=headers)
    return Ready(status="ready", refused_voices=service.registry.refused())


def _unready(service: Service) -> str | None:
    if service.draining.is_set():
        return "this server is shutting down"
    service.readiness.start()
    if not service.readiness.loaded:
        return service.readiness.reason
    return service.unhealthy()
