"""From a request to its handler and back: who is let in, and what is told when something fails."""

from typing import Final, Literal

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from imagequeue.producer.door.access import Caller
from imagequeue.producer.door.keys import Scope
from imagequeue.producer.door.origin import check_same_machine
from imagequeue.producer.door.parts import Asked, Door, Handler
from imagequeue.producer.door.problems import CLIENT_GONE, Problem, problem_of, unexpected

METHOD_NOT_ALLOWED: Final = 405
ANY_KEY: Final = "any"
Opens = Scope | Literal["any"] | None
"""What opens a route: a key with that scope, any valid key, or nothing at all."""
HTTP_CODES: Final = {404: "not_found", METHOD_NOT_ALLOWED: "method_not_allowed"}

log = structlog.get_logger("imagequeue.door")


def route(path: str, method: str, handler: Handler, *, scope: Opens) -> Route:
    """Return the route of a handler; `scope` None lets everybody in, `any` everybody with a key."""

    async def endpoint(request: Request) -> Response:
        door: Door = request.app.state.door
        try:
            caller = Caller() if scope is None else await let_in(request, door, scope)
            return await handler(Asked(request=request, door=door, caller=caller))
        except Exception as error:  # the boundary: every error becomes an answer, an unforeseen one a log line too
            return _answer(error, request)

    return Route(path, endpoint, methods=[method], name=handler.__name__)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router itself refuses: unknown paths and methods."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"{request.method} {request.url.path[:200]}: there is no such path or method; /openapi.json lists all"
    headers = {"Allow": ", ".join(_methods(request))} if status == METHOD_NOT_ALLOWED else {}
    return Problem(status, message, code=HTTP_CODES.get(status, "http_error"), headers=headers).response(
        request_id(request)
    )


async def on_fault(request: Request, error: Exception) -> Response:
    """Answer for a part beside the API that broke; what broke is for the log."""
    return unexpected().response(request_id(request))


def _methods(request: Request) -> list[str]:
    """All methods of a path; each has a route of its own."""
    routes = [
        one for one in request.app.routes if isinstance(one, Route) and one.matches(request.scope)[0] != Match.NONE
    ]
    return sorted({method for one in routes for method in one.methods or ()})


def request_id(request: Request) -> str | None:
    """Return the id under which the log has a request."""
    return getattr(request.state, "request_id", None)


async def let_in(request: Request, door: Door, scope: Scope | Literal["any"]) -> Caller:
    """Return who asks; Problem 401, 403 or 429 says why they are not let in."""
    caller = door.access.caller(request.headers.get("authorization"))
    if caller.key is None:  # the door is open
        check_same_machine(request)
    request.state.key_id = caller.key_id
    await door.rates.take(caller)
    if scope != ANY_KEY:
        caller.check_may(scope)
    return caller


def _answer(error: Exception, request: Request) -> Response:
    problem = problem_of(error)
    if problem is None:
        log.error("unexpected fault", exc_info=error)
        problem = unexpected()
    elif problem.status == CLIENT_GONE:
        return Response(status_code=CLIENT_GONE)
    elif problem.status >= 500:
        log.warning("not served", status=problem.status, error=str(error))
    return problem.response(request_id(request))
