"""The request that a job becomes: only what the model's API takes, in the dialect of the organization's server."""

import pytest
from worker_values import CATALOG, MODEL, job, org

from imagequeue.config.catalog import check_job
from imagequeue.worker.request import AZURE_API_VERSION, build_request


def test_a_job_of_defaults_asks_for_the_models_standard_by_name() -> None:
    request = build_request(job(), MODEL, org(), client_request_id="job-1")
    assert request.url == "http://127.0.0.1:9/v1/images/generations"
    assert request.fields == {
        "model": "dall-e-3", "prompt": "a cat", "n": 1, "size": "1024x1024", "quality": "standard",
        "response_format": "b64_json",
    }  # fmt: skip
    assert request.headers["authorization"] == "Bearer sk-test"
    assert request.headers["x-client-request-id"] == "job-1"


def test_what_the_job_says_is_asked_for() -> None:
    wanted = check_job(job(size="1792x1024", quality="hd", style="natural"), CATALOG)
    fields = build_request(wanted, MODEL, org(), client_request_id="job-1").fields
    assert (fields["size"], fields["quality"], fields["style"]) == ("1792x1024", "hd", "natural")


@pytest.mark.parametrize("name", sorted(CATALOG.models))
def test_no_model_is_sent_a_field_of_another(name: str) -> None:
    """GPT image models refuse response_format and style; DALL-E refuses output_format and background."""
    model = CATALOG.model(name)
    wanted = check_job(job(model=name), CATALOG)
    fields = build_request(wanted, model, org(), client_request_id="job-1").fields
    assert fields["model"] == name
    assert ("response_format" in fields) <= name.startswith("dall-e")
    assert not {"style", "output_format", "background", "tags", "tenant", "metadata"} & set(fields)


def test_azure_names_its_deployment_in_the_path_and_its_key_in_a_header() -> None:
    azure = org(kind="azure", base_url="http://127.0.0.1:9")
    request = build_request(job(), MODEL, azure, client_request_id="job-1")
    path = f"/openai/deployments/dall-e-3/images/generations?api-version={AZURE_API_VERSION}"
    assert request.url == f"http://127.0.0.1:9{path}"
    assert request.headers["api-key"] == "sk-test"
    assert "authorization" not in request.headers
    assert "model" not in request.fields


def test_a_request_does_not_show_its_key() -> None:
    assert "sk-test" not in repr(org())
