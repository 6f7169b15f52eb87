"""The images made last. Pure."""

from imagequeue.dashboard.door import Answer, Parameters
from imagequeue.dashboard.html import Html, el, join
from imagequeue.dashboard.layout import ROOT, empty, note
from imagequeue.dashboard.pages.job import gallery
from imagequeue.dashboard.values import rows_at, text_at

PAGE_SIZE = 24


def asked(after: str) -> Parameters:
    """Return what the door is asked for."""
    return [("status", "succeeded"), ("limit", str(PAGE_SIZE)), *([("after", after)] if after else [])]


def images_page(answer: Answer, more: str) -> Html:
    """Return the page's content; `more` is the query of the next page, empty when there is none."""
    if answer.problem:
        return note(answer.problem, "bad")
    jobs = rows_at(answer.body, "jobs")
    if not any(rows_at(job, "images") for job in jobs):
        return empty("No image was made yet, or the queue has forgotten its jobs; the store keeps the images.")
    following = el("a", "Next page", class_="button", href=f"{ROOT}/images?{more}") if more else None
    return join(el("section", gallery(jobs)), el("nav", following, class_="actions", aria_label="More images"))


def next_of(answer: Answer) -> str:
    """Return the cursor of the next page."""
    return text_at(answer.body, "next")
