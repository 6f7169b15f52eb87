"""The job of the stock RQ worker in raw.py: one call, nothing kept."""

import http.client
import json
from urllib.parse import urlsplit


def call(base_url: str, api_key: str, prompt: str) -> int:
    """Make one image and return how many came."""
    body = {"model": "dall-e-3", "prompt": prompt, "n": 1, "size": "1024x1024", "response_format": "b64_json"}
    headers = {"authorization": f"Bearer {api_key}", "content-type": "application/json"}
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    connection.request("POST", f"{parts.path}/images/generations", json.dumps(body), headers)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise RuntimeError(f"the call was answered with {answer.status}")
    return len(json.loads(answer.read())["data"])
