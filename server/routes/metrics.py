"""Metrics for Prometheus."""

from fastapi import APIRouter, Response

from ..metrics import MEDIA_TYPE
from ..service.service import ServiceDependency

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def read(service: ServiceDependency) -> Response:
    """Streams, queue, lateness, first audio and rejections, in Prometheus's text format."""
    return Response(service.metrics.text(), headers={"content-type": MEDIA_TYPE})
