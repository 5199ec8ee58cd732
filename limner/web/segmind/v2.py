"""The vendor's asynchronous calls: ``POST /v2/{slug}``, its status and its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from limner.errors import Gone
from limner.settings import Settings
from limner.usecases.drawing.orders import Order
from limner.usecases.drawing.pictures import apart
from limner.usecases.queueing.queue import Status
from limner.web import openapi
from limner.web.answers import Json, adjustments
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.reading import form as wire
from limner.web.reading.fields import Choice, Flag, Reader, read
from limner.web.segmind import routes as segmind
from limner.web.stored import SUFFIXES, metrics_json, picture_url, seconds

# What a caller wished for the files travels in the URL of the result.
_WISHES: Mapping[str, Reader] = {
    "output": Choice(("single", "sprite")),
    "output_format": Choice(tuple(SUFFIXES)),
    "metadata": Flag(),
}
_TEXT: dict[str, Any] = {"type": "string"}
REQUEST_ID = openapi.in_path("id", "A request's id, `req_...`.")


def install(app: Application, api: Api) -> None:
    """Add the routes: one to submit for each slug, and three to look."""
    for slug, form in segmind.forms(api.settings).items():
        app.add_api_route(
            f"/v2/{slug}", _submitter(api, form), methods=["POST"], **_submit_operation(slug, form)
        )

    async def show_status(request: Request) -> Response:
        status = await find(request, api)
        job = status.job
        done = job.status == "COMPLETED"
        metrics = {"inference_time": seconds(job.infer_seconds)} if done else {}
        return _failed(status) or Json(
            {"status": job.status, "request_id": job.id, "metrics": metrics}
        )

    async def show_result(request: Request) -> Response:
        status = await find(request, api)
        return _failed(status) or Json(_result(request, api.settings, status))

    app.add_api_route(
        "/v2/requests/{id}/status", show_status, methods=["GET"], **_look_operation("status")
    )
    for version in ("v1", "v2"):
        app.add_api_route(
            f"/{version}/requests/{{id}}",
            show_result,
            methods=["GET"],
            **_look_operation(f"result-{version}"),
        )


async def find(request: Request, api: Api) -> Status:
    """The request that the path names. Raises ``NotFound``, ``Gone``."""
    found: Status = await api.services.queue.status(request.state.caller, request.path_params["id"])
    request.state.headers["x-request-id"] = found.job.id
    if found.job.status == "COMPLETED" and not found.pictures:
        raise Gone(f"The pictures of request {found.job.id} are no longer kept")
    return found


def _submitter(api: Api, form: wire.Form) -> Callable[[Request], Awaitable[Response]]:
    async def submit(request: Request) -> Response:
        async with api.account(request):
            asked, digest = await segmind.read_asked(request, api, form, mixed=True)

            async def make() -> Order:
                intake = api.intake(request, waits=False)
                call = await segmind.to_call(asked, intake)
                return segmind.to_order(request, call, digest, _unfit(asked))

            [accepted] = await api.submit(request, digest, [make])
        request.state.headers["x-request-id"] = accepted.job.id
        return _accepted(api.settings, asked, accepted)

    return submit


def _unfit(asked: wire.Asked) -> list[str]:
    """What has no place in an answer that comes later."""
    return ["output grid was ignored: every picture has its own URL"] if asked.grid else []


def _accepted(settings: Settings, asked: wire.Asked, status: Status) -> Response:
    """That it was accepted, in the same words for a retry; its URLs tell how it stands."""
    id, base = status.job.id, settings.public_url
    wishes = _wishes(settings, asked)
    body = {
        "request_id": id,
        "status": "QUEUED",
        "poll_url": f"{base}/v1/requests/{id}{wishes}",
        "status_url": f"{base}/v2/requests/{id}/status",
        "response_url": f"{base}/v2/requests/{id}{wishes}",
    }
    told = status.job.adjustments
    return Json(body, headers={"x-adjustments": adjustments(told)} if told else None)


def _wishes(settings: Settings, asked: wire.Asked) -> str:
    wishes = {"output": "sprite"} if asked.sprite else {}
    if asked.format != "jpeg" and not asked.sprite:
        wishes["output_format"] = asked.format
    if asked.metadata != settings.embed_metadata:
        wishes["metadata"] = str(asked.metadata).lower()
    return f"?{urlencode(wishes)}" if wishes else ""


def _failed(status: Status) -> Response | None:
    """The answer for a request that will bring no picture."""
    if status.job.status not in ("FAILED", "CANCELLED"):
        return None
    text = status.job.error or f"Request {status.job.id} was not drawn"
    return Json({"status": "FAILED", "error": text, "request_id": status.job.id}, 422)


def _result(request: Request, settings: Settings, status: Status) -> dict[str, Any]:
    job = status.job
    body: dict[str, Any] = {"status": job.status, "request_id": job.id, "metrics": {}}
    if job.status != "COMPLETED":
        return body
    wishes, _ = read(_WISHES, {}, request.query_params)
    suffix = SUFFIXES[wishes.get("output_format", "jpeg")]
    if wishes.get("output") == "sprite":
        suffix = "sprite.png"
    query = f"?metadata={str(wishes['metadata']).lower()}" if "metadata" in wishes else ""
    finished, firsts = apart(status.pictures, job.samples)
    urls, first_urls = (
        [picture_url(settings, picture.id, suffix) + query for picture in those]
        for those in (finished, firsts)
    )
    seeds = [picture.seed for picture in finished]
    return (
        body
        | ({"first_passes": first_urls} if firsts else {})
        | {
            "output": urls[0],
            "images": urls,
            "seeds": seeds,
            "adjustments": list(job.adjustments),
            "metrics": metrics_json(status),
        }
    )


def _submit_operation(slug: str, form: wire.Form) -> dict[str, Any]:
    names = ("request_id", "status", "poll_url", "status_url", "response_url")
    return openapi.operation(
        f"submit-{slug}",
        f"Queue pictures with {slug}; they are kept to be fetched.",
        openapi.json_answer("Accepted: stored, and its price held.", dict.fromkeys(names, _TEXT)),
        errors=openapi.DRAW_ERRORS,
        parameters=[openapi.IDEMPOTENCY_KEY],
        **openapi.body(openapi.generation_schema(form)),
    )


def _look_operation(id: str) -> dict[str, Any]:
    fields = {"status": _TEXT, "request_id": _TEXT, "metrics": {"type": "object"}}
    made = openapi.operation(
        id,
        "How far a request is." if id == "status" else "The URLs of a request's pictures.",
        openapi.json_answer("QUEUED, PROCESSING or COMPLETED.", fields),
        errors=(400, 401, 403, 404, 410, 500),
        parameters=[REQUEST_ID],
    )
    failed = {"status": _TEXT, "error": _TEXT}
    made["responses"][422] = openapi.json_answer("It failed; nothing was billed.", failed)
    return made
