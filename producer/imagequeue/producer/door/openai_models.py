"""The models of the image API's own contract: those of the catalog that a configured organization serves."""

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.catalog import Model
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import Problem
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import ANY_KEY, route
from imagequeue.queue.status import Status


def model_routes() -> list[Route]:
    """Return the routes of models."""
    return [
        route("/v1/models", "GET", list_models, scope=ANY_KEY),
        route("/v1/models/{model}", "GET", show_model, scope=ANY_KEY),
    ]


async def list_models(asked: Asked) -> Response:
    """List the models that are served."""
    check_known(asked.request.query_params, ())
    return JSONResponse({"object": "list", "data": [_shown(model) for model in await _served(asked)]})


async def show_model(asked: Asked) -> Response:
    """Show one of the models that are listed."""
    check_known(asked.request.query_params, ())
    name = str(asked.request.path_params["model"])
    for model in await _served(asked):
        if model.name == name:
            return JSONResponse(_shown(model))
    raise no_model(name)


def is_served(model: str, status: Status) -> bool:
    """Return whether some organization can be expected to serve a model: its server did not say that it has none."""
    return any(model in pool.models for pool in status.pools)


def no_model(name: str) -> Problem:
    """Return the API's own refusal of a model."""
    message = f"The model '{name[:64]}' does not exist here, or no organization serves it; /v1/models lists all."
    return Problem(404, message, code="model_not_found", param="model")


async def _served(asked: Asked) -> list[Model]:
    status = await asked.door.status.read()
    return [model for model in asked.door.catalog.models.values() if is_served(model.name, status)]


def _shown(model: Model) -> dict[str, object]:
    ends = model.lifecycle.ends
    row = {"id": model.name, "object": "model", "created": 0, "owned_by": "imagequeue"}
    return {**row, "shutdown_date": None if ends is None else ends.isoformat()}
