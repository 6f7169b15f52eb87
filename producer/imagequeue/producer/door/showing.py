"""Job views as the door shows them: images linked through the door itself, never by a path on the server. Pure.

To the key of one tenant (`to_tenant`) a view says nothing of others: neither what all spent, nor their jobs.
"""

from dataclasses import replace

from imagequeue.queue.reading import ViewPage
from imagequeue.queue.views import JobView


def image_url(base_url: str, sha256: str) -> str:
    """Return where the door serves an image."""
    return f"{base_url}/v1/images/{sha256}"


def view_json(view: JobView, base_url: str, *, to_tenant: bool) -> dict[str, object]:
    """Return a job view as JSON values."""
    shown = (_narrowed(view) if to_tenant else view).as_json()
    images = shown["images"]
    if isinstance(images, list):
        shown["images"] = [{**image, "url": image_url(base_url, image["sha256"])} for image in images]
    return shown


def page_json(page: ViewPage, base_url: str, *, to_tenant: bool) -> dict[str, object]:
    """Return a page of job views as JSON values."""
    return {"jobs": [view_json(view, base_url, to_tenant=to_tenant) for view in page.jobs], "next": page.next}


def _narrowed(view: JobView) -> JobView:
    waiting = view.waiting
    if waiting is None or waiting.to_tenant is None:
        return view
    return replace(view, waiting=replace(waiting, detail=waiting.to_tenant))


def tenant_of(view: JobView) -> object:
    """Return whose job it is; None when what was asked for can no longer be read."""
    return view.job.get("tenant")
