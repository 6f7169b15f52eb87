"""What stands in a job hash's `data`: untrusted bytes that anybody with access to Redis may have written."""

import zlib
from typing import Any

from pydantic_core import from_json

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import FUNCTION_NAME, JOB_BYTES_MAX, Job, parse_job

DATA_BYTES_MAX = 1_048_576
"""Compressed or not, more is not looked at; a job is a prompt and some parameters."""


def decode(data: bytes) -> Job:
    """Return the job in RQ's `data`; JobRefused for anything that is not exactly one call of our function with one job.

    Nothing is imported, nothing is unpickled, and what a compressed payload may grow to is bounded.
    """
    call = _json(_inflate(data))
    if not isinstance(call, list) or len(call) != 4:
        raise JobRefused("data", "a JSON list of function name, null, arguments and keyword arguments is needed")
    name, instance, arguments, keywords = call
    if name != FUNCTION_NAME:
        raise JobRefused("func_name", f"only {FUNCTION_NAME} is ever run")
    if instance is not None or keywords or not isinstance(arguments, list) or len(arguments) != 1:
        raise JobRefused("args", "exactly one argument, the job object, is needed")
    return parse_job(arguments[0])


def _inflate(data: bytes) -> bytes:
    if len(data) > DATA_BYTES_MAX:
        raise JobRefused("data", f"at most {DATA_BYTES_MAX} bytes are accepted")
    engine = zlib.decompressobj()
    try:
        text = engine.decompress(data, JOB_BYTES_MAX + 1)
    except zlib.error:
        return data  # RQ accepts uncompressed data too
    if len(text) > JOB_BYTES_MAX:
        raise JobRefused("data", f"at most {JOB_BYTES_MAX} bytes of JSON are accepted")
    return text


def _json(text: bytes) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise JobRefused(
            "data", "JSON is needed; the queue's serializer must be RQ's JSONSerializer, not pickle"
        ) from error
