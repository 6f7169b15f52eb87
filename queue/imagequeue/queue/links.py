"""Where an image can be fetched: under the public address when there is one, else where the store keeps it. Pure."""

from imagequeue.config.settings import Settings
from imagequeue.ledger.api import ImageRecord
from imagequeue.queue.views import LinkTo
from imagequeue.store.store import key_of


def links(settings: Settings) -> LinkTo:
    """Return what gives an image's address; without a public one, a `file://` or bucket URL."""
    public, store = settings.public_url, settings.store_url.rstrip("/")

    def link(image: ImageRecord) -> str:
        if public is not None:
            return f"{public.rstrip('/')}/v1/images/{image.sha256}"
        return f"{store}/{key_of(image.sha256, image.format)}"  # type: ignore[arg-type]  # the store's own word for it

    return link
