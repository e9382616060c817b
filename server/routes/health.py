"""Liveness and readiness."""

from typing import Any

from fastapi import APIRouter

from server.errors import Refusal
from server.schemas import ErrorResponse, Health
from server.service import ServiceDependency

router = APIRouter(tags=["health"])

NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": ErrorResponse, "description": "No voice is loaded; see `retry-after`."}
}


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Health:
    """Always 200, also while voices are loading and while audio is generated."""
    return Health(status="ok")


@router.get("/readyz", summary="Can it vocode?", responses=NOT_READY)
async def readyz(service: ServiceDependency) -> Health:
    """200 once the default voice is loaded, 503 until then."""
    readiness = service.readiness
    readiness.start()
    if not readiness.loaded:
        headers = {"retry-after": str(service.settings.retry_after_s)}
        raise Refusal(503, readiness.reason, code="not_ready", headers=headers)
    return Health(status="ready")
