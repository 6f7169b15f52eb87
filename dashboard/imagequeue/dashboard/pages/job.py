"""One job's whole life: what was asked, why it waits, attempts with their cost, images, webhooks. Pure."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from imagequeue.config.job import PRIORITIES
from imagequeue.dashboard.door import Answer
from imagequeue.dashboard.html import Child, Html, el, join
from imagequeue.dashboard.layout import ROOT, badge, empty, form_token, note, part, user_text
from imagequeue.dashboard.pages.jobs import job_link, status_badge, why
from imagequeue.dashboard.sessions import Session
from imagequeue.dashboard.shown import NONE, moment, plural, span, usd
from imagequeue.dashboard.values import Json, at, count_at, moment_at, number_at, rows_at, text_at, texts_at, usd_at

ATTEMPT_LEVELS: Final = {"settled": "good", "reconciled": "good", "in_doubt": "warn", "voided": "bad", "held": ""}
SHA256: Final = re.compile(r"[0-9a-f]{64}")
WAITING: Final = ("queued", "waiting")
ENDED_BADLY: Final = ("failed", "cancelled", "expired")
JSON_CHARACTERS_MAX: Final = 100_000
JOINED: Final = re.compile(r"waits for job ([A-Za-z0-9_-]{1,64}),")
"""How a job that takes part in another's call says whose; see flight.lua."""
MESSAGE_LEVELS: Final = {"delivered": "good", "waiting": "", "retrying": "warn", "given_up": "bad"}


def job_page(answer: Answer, told: Json, session: Session, now: datetime) -> Html:
    """Return the page's content; `told` has the messages that webhooks got about the job."""
    if answer.problem:
        return note(answer.problem, "bad")
    job = answer.body
    reason = why(job, now)
    level = "bad" if text_at(job, "error", "code") else "warn"
    return join(
        part(
            "state",
            el("p", status_badge(job), " ", _summary(job)),
            note(reason, level) if reason else None,
            _joined(job),
        ),
        el("section", el("h2", "Prompt"), _prompt(job)),
        el("section", el("h2", "Images"), part("images", gallery([job]))),
        el("section", el("h2", "Life"), part("life", _life(job, told, now))),
        el("section", el("h2", "Asked for"), _asked(job)),
        el("section", el("h2", "Do"), part("acts", _acts(job, session))),
        el("section", el("details", el("summary", "As JSON"), el("pre", _written(job), dir="auto"))),
    )


def gallery(jobs: Iterable[Json]) -> Html:
    """Return the images of jobs, each with its prompt."""
    items = [_image(image, job) for job in jobs for image in rows_at(job, "images")]
    return el("ul", *items, class_="gallery") if items else empty("There are no images.")


def _image(image: Json, job: Json) -> Html:
    prompt = text_at(image, "revised_prompt") or text_at(job, "job", "prompt")
    sides = f"{count_at(image, 'width')}\N{MULTIPLICATION SIGN}{count_at(image, 'height')} {text_at(image, 'format')}"
    return el(
        "li",
        _picture(text_at(image, "sha256"), prompt),
        el("p", el("a", user_text(prompt[:300] or text_at(job, "id")), href=job_link(text_at(job, "id")))),
        el("span", sides, class_="quiet"),
    )


def _picture(sha256: str, prompt: str) -> Html:
    if not SHA256.fullmatch(sha256):
        return note("The image's digest cannot be read.")
    link = f"{ROOT}/images/{sha256}"
    alt = prompt[:200] or "An image without a prompt"
    return el("a", el("img", src=f"{link}/thumbnail", alt=alt, loading="lazy", width=320, height=320), href=link)


def _summary(job: Json) -> Html:
    facts: list[Child] = [el("code", text_at(job, "id"))]
    cost = usd_at(job, "cost", "usd")
    if cost is not None:
        facts.append(f", {usd(cost)} at {text_at(job, 'cost', 'org')}")
    queued = number_at(job, "timings", "queued_s")
    if queued is not None:
        facts.append(f", {span(queued)} in the queue")
    called = number_at(job, "timings", "call_s")
    if called is not None:
        facts.append(f", {span(called)} for the call")
    return el("span", *facts, class_="quiet")


def _prompt(job: Json) -> Html:
    prompt = text_at(job, "job", "prompt")
    if not prompt:
        return empty(
            "The prompt is no longer known: the queue has forgotten this job, and the ledger keeps no prompts."
        )
    return el("p", prompt, class_="full", dir="auto", tabindex=0)


def _joined(job: Json) -> Html | None:
    found = JOINED.match(text_at(job, "waiting", "detail")) if text_at(job, "waiting", "reason") == "joined" else None
    if found is None:
        return None
    return el("p", el("a", f"The job that is called: {found[1]}", href=job_link(found[1])))


def _life(job: Json, told: Json, now: datetime) -> Html:
    attempts = rows_at(job, "attempts")
    steps = [_step("Enqueued", moment_at(job, "timings", "enqueued"), "", _start(job))]
    steps += [_attempt(attempt, now) for attempt in attempts]
    steps += [_wait(job, now)] if text_at(job, "waiting", "reason") else []
    finished = moment_at(job, "timings", "finished")
    if finished is not None:
        failed = text_at(job, "status") in ENDED_BADLY
        steps.append(_step(text_at(job, "status").capitalize(), finished, "bad" if failed else "good", _end(job)))
    steps += [_message(message) for message in reversed(rows_at(told, "webhooks"))]
    return el("ol", *steps, class_="timeline")


def _start(job: Json) -> Sequence[Child]:
    delivery = text_at(job, "job", "delivery")
    facts = [f"to {text_at(job, 'job', 'model') or 'a model of choice'} at {text_at(job, 'job', 'priority') or NONE}"]
    facts += ["by batch"] if delivery == "batch" else []
    queued = number_at(job, "timings", "queued_s")
    facts += [f"{span(queued)} in the queue"] if queued is not None else []
    return (el("p", ", ".join(facts)),)


def _wait(job: Json, now: datetime) -> Html:
    until = moment_at(job, "waiting", "until")
    ends: Sequence[Child] = (
        ("until ", moment(until)) if until is not None and until > now else ("for as long as it takes",)
    )
    reason = text_at(job, "waiting", "reason")
    title = "In a batch" if reason == "batch" else f"Waits: {reason}"
    detail = text_at(job, "waiting", "detail")
    return el(
        "li",
        el("strong", user_text(title)),
        " ",
        el("span", *ends, class_="quiet"),
        el("p", user_text(detail)) if detail else None,
        class_="warn",
    )


def _end(job: Json) -> Sequence[Child]:
    cost, made = usd_at(job, "cost", "usd"), len(rows_at(job, "images"))
    facts = [f"{plural(made, 'image')}" if made else "", usd(cost) if cost is not None else ""]
    delivery = text_at(job, "cost", "delivery")
    facts += ["by batch, at half the price"] if delivery == "batch" else []
    said = ", ".join(filter(None, facts))
    return (el("p", said),) if said else ()


def _message(message: Json) -> Html:
    state = text_at(message, "state")
    level = MESSAGE_LEVELS.get(state, "")
    next_try = moment_at(message, "next_try")
    facts: Sequence[Child] = (
        el("p", badge(state.replace("_", " "), level), f" after {plural(count_at(message, 'tries'), 'try', 'tries')}"),
        el("p", "To ", user_text(text_at(message, "url")), class_="quiet"),
        el("p", user_text(text_at(message, "last_error"))) if text_at(message, "last_error") else None,
        el("p", "Next try ", moment(next_try)) if next_try is not None else None,
    )
    when = moment_at(message, "delivered_at") or moment_at(message, "created_at")
    return _step(f"Webhook {text_at(message, 'event')}", when, level, facts)


def _attempt(attempt: Json, now: datetime) -> Html:
    sent, ended = moment_at(attempt, "sent_at"), moment_at(attempt, "ended_at")
    state = text_at(attempt, "state")
    took = None if sent is None else span(max(((ended or now) - sent).total_seconds(), 0.0))
    answered = " ".join(filter(None, (text_at(attempt, "status_code"), text_at(attempt, "error_code"))))
    facts: Sequence[Child] = (
        el(
            "p",
            _state_badge(state),
            " ",
            usd(usd_at(attempt, "usd")),
        ),
        el(
            "p",
            f"{text_at(attempt, 'model')} at {text_at(attempt, 'org')}",
            f", took {took}" if took else ", never sent",
        ),
        el("p", "Answer: ", user_text(answered)) if answered else None,
        el("p", "Request ", el("code", text_at(attempt, "request_id")), class_="quiet")
        if text_at(attempt, "request_id")
        else None,
    )
    return _step(f"Attempt {text_at(attempt, 'n')}", sent, ATTEMPT_LEVELS.get(state, ""), facts)


def _state_badge(state: str) -> Html:
    return badge(state.replace("_", " ") or "unknown", ATTEMPT_LEVELS.get(state, ""))


def _step(title: str, when: datetime | None, level: str, facts: Sequence[Child]) -> Html:
    return el("li", el("strong", title), " ", el("span", moment(when), class_="quiet"), *facts, class_=level or None)


def _asked(job: Json) -> Html:
    wanted = at(job, "job")
    names = ("model", "operation", "size", "quality", "style", "n", "priority", "tenant", "intent", "deadline")
    pairs = [(name, text_at(wanted, name)) for name in names]
    tags = at(wanted, "tags")
    pairs += [(f"tag {key}", str(value)) for key, value in tags.items()] if isinstance(tags, dict) else []
    pairs += [("overflow", ", ".join(texts_at(wanted, "overflow")))]
    pairs += [(name, text_at(wanted, name)) for name in ("cache", "not_before", "max_cost_usd", "webhook")]
    shown = [(name, value) for name, value in pairs if value]
    return el("dl", *(join(el("dt", user_text(name)), el("dd", user_text(value))) for name, value in shown))


def _acts(job: Json, session: Session) -> Html:
    status, job_id = text_at(job, "status"), text_at(job, "id")
    forms = []
    if status in (*WAITING, "running"):
        forms.append(_form(job_id, session, el("button", "Cancel", name="act", value="cancel")))
    if status in WAITING:
        choice = _priorities(job, "move_to")
        forms.append(_form(job_id, session, el("button", "Move to priority", name="act", value="priority"), choice))
    if status in ("waiting", *ENDED_BADLY):
        choice = _priorities(job, "priority")
        word = "Try now at priority" if status == "waiting" else "Retry at priority"
        forms.append(_form(job_id, session, el("button", word, name="act", value="retry"), choice))
    if status == "succeeded":
        forms.append(_form(job_id, session, el("button", "Keep all images", name="act", value="keep")))
    return el("div", *forms, class_="actions") if forms else empty("Nothing can be done to it as it is.")


def _priorities(job: Json, name: str) -> Html:
    now = text_at(job, "job", "priority")
    options = [el("option", word, value=word, selected=word == now) for word in PRIORITIES]
    return el("select", *options, name=name, aria_label="Priority")


def _form(job_id: str, session: Session, *children: Child) -> Html:
    fields = (form_token(session), el("input", type_="hidden", name="id", value=job_id))
    return el("form", *fields, *children, method="post", action=f"{ROOT}/jobs/act")


def _written(job: Json) -> str:
    text = json.dumps(job, indent=2, ensure_ascii=False)
    return text if len(text) <= JSON_CHARACTERS_MAX else text[:JSON_CHARACTERS_MAX] + f"\n{NONE} cut here"
