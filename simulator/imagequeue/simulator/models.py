"""The provider's small endpoints: the list of models, and the images that links show."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from imagequeue.simulator import refusals
from imagequeue.simulator.config import SimulatedOrg
from imagequeue.simulator.images import authenticate
from imagequeue.simulator.picture import draw
from imagequeue.simulator.provider import Provider
from imagequeue.simulator.refusals import RefusalError

CREATED: Final = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())


class ModelEndpoints:
    """Handlers of /v1/models and /images."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/v1/models", self.models),
            web.get("/v1/models/{model}", self.model),
            web.get("/images/{name}", self.image),
        ]

    async def models(self, request: web.Request) -> web.Response:
        """Answer GET /v1/models: what the organization can call."""
        try:
            org = authenticate(self._provider, request)
        except RefusalError as refusal:
            return refusal.error.response({})
        return web.json_response({"object": "list", "data": [_model(name) for name in self._served(org)]})

    async def model(self, request: web.Request) -> web.Response:
        """Answer GET /v1/models/{model}; 404 for what the organization cannot call."""
        name = request.match_info["model"]
        try:
            org = authenticate(self._provider, request)
        except RefusalError as refusal:
            return refusal.error.response({})
        if name not in self._served(org):
            return refusals.model_not_found(name).response({})
        return web.json_response(_model(name))

    async def image(self, request: web.Request) -> web.Response:
        """Answer GET /images/{name}: the file behind a link, 403 once the link has expired."""
        picture = self._provider.linked(request.match_info["name"])
        if picture is None:
            return web.Response(status=403, text="This link has expired or never was.")
        return web.Response(body=draw(picture), content_type="image/png")

    def _served(self, org: SimulatedOrg) -> list[str]:
        return [model.name for model in self._provider.catalog.models.values() if self._provider.serves(org, model)]


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}
