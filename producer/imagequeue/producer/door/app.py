"""The application: every route of the door, and what is mounted beside it."""

from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from imagequeue.config.tracing import spans
from imagequeue.producer.door.advice import advice_routes
from imagequeue.producer.door.books import book_routes
from imagequeue.producer.door.bulk import bulk_routes
from imagequeue.producer.door.deliveries import delivery_routes
from imagequeue.producer.door.description import describe
from imagequeue.producer.door.direct import Direct
from imagequeue.producer.door.events import event_routes
from imagequeue.producer.door.health import health_routes
from imagequeue.producer.door.images import image_routes
from imagequeue.producer.door.jobs import job_routes
from imagequeue.producer.door.journal import Journal
from imagequeue.producer.door.metrics import metric_routes
from imagequeue.producer.door.mounts import HOME, Mounted
from imagequeue.producer.door.openai_edits import edit_routes
from imagequeue.producer.door.openai_images import openai_routes
from imagequeue.producer.door.parts import Asked, Door
from imagequeue.producer.door.planning import plan_routes
from imagequeue.producer.door.reports import report_routes
from imagequeue.producer.door.serving import on_fault, on_http_exception, route
from imagequeue.producer.door.switches import switch_routes
from imagequeue.producer.door.thumbnails import thumbnail_routes
from imagequeue.producer.door.tracing import traced
from imagequeue.producer.door.uploads import upload_routes

DESCRIPTION_PATH: Final = "/openapi.json"


def build_app(door: Door, mounted: Mounted) -> ASGIApp:
    """Return the door's application, wrapped in its journal."""
    own = api_routes()
    app = Starlette(
        routes=[*own, *_home(mounted), *mounted.routes],
        exception_handlers={HTTPException: on_http_exception, Exception: on_fault},
    )
    app.router.redirect_slashes = False
    app.state.door = door
    return traced(Journal(Direct(app, own)), spans())


def api_routes() -> list[Route]:
    """Return the routes of the API itself. Fixed paths stand before those with a job's or an image's id."""
    return [
        *bulk_routes(),
        *event_routes(),
        *job_routes(),
        *openai_routes(),
        *edit_routes(),
        *upload_routes(),
        *image_routes(),
        *thumbnail_routes(),
        *report_routes(),
        *advice_routes(),
        *book_routes(),
        *delivery_routes(),
        *plan_routes(),
        *switch_routes(),
        *metric_routes(),
        *health_routes(),
        route(DESCRIPTION_PATH, "GET", show_description, scope=None),
    ]


async def show_description(asked: Asked) -> Response:
    """Describe the API in OpenAPI's own format."""
    return JSONResponse(describe())


def _home(mounted: Mounted) -> Sequence[BaseRoute]:
    if HOME in mounted.names:
        return [route("/", "GET", _to_dashboard, scope=None)]
    return [route("/", "GET", _say_what_is_here, scope=None)]


async def _to_dashboard(asked: Asked) -> Response:
    return RedirectResponse(f"/{HOME}/")


async def _say_what_is_here(asked: Asked) -> Response:
    return JSONResponse({"name": "imagequeue", "description": DESCRIPTION_PATH})
