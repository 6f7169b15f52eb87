"""What a stock RQ worker runs in the differential test: the same outcome as ours, by RQ's own hands."""


def good(_words: object) -> dict[str, str]:
    """Return what our worker returns."""
    return {"status": "succeeded"}


def bad(_words: object) -> None:
    """Fail."""
    raise RuntimeError("rejected: no")
