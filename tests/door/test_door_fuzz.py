"""Whatever is sent, the door answers with what its description says and never with a fault of its own."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from door_stack import Stack
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from imagequeue.config.job import Job
from imagequeue.producer.door.app import api_routes
from imagequeue.producer.door.description import describe
from imagequeue.producer.door.openai_request import KNOWN

pytestmark = pytest.mark.xdist_group("door")

EXAMPLES_MAX = 30
quick = settings(
    max_examples=EXAMPLES_MAX,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.generate),
)
schemathesis.serializer.alias("application/x-ndjson", "text/plain")
LATER = "2999-01-01T00:00:00Z"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
job_bodies = st.dictionaries(st.sampled_from([*Job.model_fields, "promt"]), values, max_size=6)
asks = st.dictionaries(st.sampled_from([*KNOWN, "promt"]), values, max_size=6)


@pytest.fixture
def strangers_door(stack: Stack) -> Iterator[httpx.Client]:
    """Yield a client of the door with keys that has none."""
    with httpx.Client(base_url=stack.url) as client:
        yield client


def send(client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    answer = client.request(method, path, **more)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and answer.headers["content-type"] == "application/json":
        assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}
    return answer


@quick
@given(st.one_of(job_bodies, st.lists(job_bodies, max_size=3), values))
def test_any_json_as_a_job(client: httpx.Client, body: object) -> None:
    if isinstance(body, dict):
        body = {"prompt": "x", "not_before": LATER, **body}
    send(client, "POST", "/v1/jobs", content=json.dumps(body))
    send(client, "POST", "/v1/jobs/bulk", content=json.dumps(body))


@quick
@given(st.binary(max_size=200))
def test_any_bytes_as_a_body(client: httpx.Client, body: bytes) -> None:
    for path in ("/v1/jobs", "/v1/jobs/bulk", "/v1/images/generations", "/v1/jobs/none/retry", "/v1/jobs/none/keep"):
        assert send(client, "POST", path, content=body).status_code in (202, 400, 404)


@quick
@given(asks)
def test_any_json_as_a_request_of_the_image_api(client: httpx.Client, body: dict[str, object]) -> None:
    """No tenant is called so, so that even a body that is acceptable makes no job."""
    headers = {"X-ImageQueue-Tenant": "no one"}
    answer = send(client, "POST", "/v1/images/generations", content=json.dumps(body), headers=headers)
    assert answer.status_code == 400


@quick
@given(st.dictionaries(st.sampled_from(["status", "tag", "limit", "after", "wait", "since"]), st.text(max_size=30)))
def test_any_query(client: httpx.Client, query: dict[str, str]) -> None:
    for path in ("/v1/jobs", "/v1/jobs/none", "/v1/ledger/summary", "/metrics", f"/v1/images/{'0' * 64}"):
        send(client, "GET", path, params=query)


@quick
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_any_path(client: httpx.Client, text: str) -> None:
    for path in ("/v1/jobs/", "/v1/images/", "/"):
        send(client, "GET", path + quote(text, safe="/"))


@quick
@given(st.text(st.characters(codec="latin-1", categories=("L", "N", "P", "S")), max_size=60))
def test_any_key(strangers_door: httpx.Client, text: str) -> None:
    headers = [(b"Authorization", f"Bearer k{text}".encode("latin-1"))]
    assert strangers_door.get("/v1/jobs", headers=headers).status_code == 401


def test_the_description_names_every_route_and_no_other() -> None:
    described = {(path, method.upper()) for path, methods in describe()["paths"].items() for method in methods}
    served = {(route.path, method) for route in api_routes() for method in (route.methods or set()) - {"HEAD"}}
    assert served == described


def test_the_description_is_valid_and_its_examples_fit(client: httpx.Client) -> None:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # its stubs are a package of their own

    description = client.get("/openapi.json").json()
    for name, schema in description["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        whole = {**schema, "components": description["components"]}
        for example in schema.get("examples", []):
            Draft202012Validator(whole).validate(example), name


def test_answers_that_may_be_streams_are_described_as_that() -> None:
    paths = describe()["paths"]
    for path, streams in {"generations": True, "edits": True, "variations": False}.items():
        content = paths[f"/v1/images/{path}"]["post"]["responses"]["200"]["content"]
        assert ("text/event-stream" in content, "application/json" in content) == (streams, True)


def test_every_answer_in_json_has_an_example_that_fits() -> None:
    from jsonschema import Draft202012Validator

    description = describe()
    for path, methods in description["paths"].items():
        for operation in methods.values():
            good = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
            content = good["content"].get("application/json")
            if content is None or path == "/openapi.json":
                continue
            schema = {**content["schema"], "components": description["components"]}
            examples = [content["example"]] if "example" in content else example_of(description, content["schema"])
            assert examples, operation["operationId"]
            for example in examples:
                Draft202012Validator(schema).validate(example)


def example_of(description: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    """Return the examples of the schema that an answer refers to."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return list(description["components"]["schemas"].get(name, {}).get("examples", []))


@pytest.mark.parametrize(
    "operation", [one["operationId"] for path in describe()["paths"].values() for one in path.values()]
)
def test_answers_are_as_described(stack: Stack, operation: str) -> None:
    """Requests made of the description, good and bad; jobs that would be made wait for ever."""
    schema = schemathesis.openapi.from_dict({**describe(), "servers": [{"url": stack.open_url}]})
    found = schema.find_operation_by_id(operation)
    checks = [not_a_server_error, content_type_conformance, response_schema_conformance]

    @settings(quick, max_examples=5)
    @given(case=found.as_strategy())
    def check(case: schemathesis.Case[Any]) -> None:
        if operation in ("createJobs", "generate") and isinstance(case.body, dict):
            case.body = {**case.body, "tenant": "no one"}
        if operation == "showJob":
            case.query = {}
        case.call_and_validate(base_url=stack.open_url, checks=checks)

    check()
