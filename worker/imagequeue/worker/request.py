"""The request that a job becomes, in the dialect of the organization's server. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from imagequeue.config.catalog import Model
from imagequeue.config.job import Job
from imagequeue.config.orgs import Org

AZURE_API_VERSION: Final = "2025-04-01-preview"
OPTIONS: Final = {
    "generation": ("style", "background", "output_format"),
    "edit": ("background", "output_format"),
}
PATHS: Final = {"generation": "images/generations", "edit": "images/edits", "variation": "images/variations"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One call: where to, what with. `fields` is the JSON body, or the form's fields when there are input images.

    A form takes input images of every server and model; JSON takes them of some, by reference only.
    """

    url: str
    headers: Mapping[str, str]
    fields: Mapping[str, Any]


def build_request(job: Job, model: Model, org: Org, *, client_request_id: str) -> Request:
    """Return the call of a job. Our own id goes along, so that the provider's records can be matched with ours."""
    base = org.base_url.rstrip("/")
    path = PATHS[job.operation]
    secret = org.api_key.get_secret_value()
    headers = {"x-client-request-id": client_request_id, "accept": "application/json", "accept-encoding": "identity"}
    if org.kind == "azure":
        url = f"{base}/openai/deployments/{model.name}/{path}?api-version={AZURE_API_VERSION}"
        fields = {name: value for name, value in _fields(job, model).items() if name != "model"}
        return Request(url=url, headers={**headers, "api-key": secret}, fields=fields)
    return Request(
        url=f"{base}/{path}", headers={**headers, "authorization": f"Bearer {secret}"}, fields=_fields(job, model)
    )


def _fields(job: Job, model: Model) -> dict[str, Any]:
    """Only what the model's API takes; what a job leaves open is asked for by the name of the model's standard."""
    accepts = model.accepts
    fields: dict[str, Any] = {"model": model.name, "n": job.n, "size": model.api_size(job.size)}
    if accepts.response_format and "b64_json" in accepts.responses:
        fields["response_format"] = "b64_json"
    if job.operation == "variation":
        return fields
    fields["prompt"] = job.prompt
    quality = model.api_quality(job.quality)
    if quality is not None:
        fields["quality"] = quality
    for name in OPTIONS[job.operation]:
        value = getattr(job, name)
        if value is not None:
            fields[name] = value
    if job.partial_images:
        fields |= {"stream": True, "partial_images": job.partial_images}
    return fields
