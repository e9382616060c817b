"""Metrics for Prometheus."""

from fastapi import APIRouter, Response

from .. import metrics

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def read() -> Response:
    """Streams, queue, lateness, first audio, rejections: in Prometheus's text format."""
    return Response(metrics.text(), headers={"content-type": metrics.MEDIA_TYPE})
