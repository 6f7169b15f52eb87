"""An example of each answer for the description: what a door said, shortened; kept in answers.json by operation."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from imagequeue.producer.door.operations import JSON

FILE: Final = "answers.json"


def with_answers(paths: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description's paths with an example of what is answered when all went well."""
    answers = json.loads((files(__package__) / FILE).read_text())
    return {
        path: {method: _with_answer(operation, answers) for method, operation in methods.items()}
        for path, methods in paths.items()
    }


def _with_answer(operation: dict[str, Any], answers: Mapping[str, object]) -> dict[str, Any]:
    if operation["operationId"] not in answers:
        return operation
    example = answers[operation["operationId"]]
    return {
        **operation,
        "responses": {
            status: _with_example(response, example)
            if status.startswith("2") and JSON in response["content"]
            else response
            for status, response in operation["responses"].items()
        },
    }


def _with_example(response: dict[str, Any], example: object) -> dict[str, Any]:
    content = response["content"]
    return {**response, "content": {**content, JSON: {**content[JSON], "example": example}}}
