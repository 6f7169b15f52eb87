"""What the client decides before it queues: which part a job takes in the cache, and by which day models are served."""

from datetime import date

import pytest

from imagequeue.config.catalog import load_catalog
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings, load_settings
from imagequeue.producer.admission import Admission

CATALOG = load_catalog()
DAY = date(2026, 11, 22)
DIGEST = f"sha256:{'a' * 64}"


def admission(**environ: str) -> Admission:
    return Admission(settings(**environ), CATALOG, lambda: DAY)


def settings(**environ: str) -> Settings:
    return load_settings({"IMAGEQUEUE_MODELS": '["gpt-image-2"]', **environ})


def test_a_job_takes_part_only_when_it_or_the_settings_say_so() -> None:
    assert admission().entry(Job(prompt="x")).flight is None
    assert admission().entry(Job(prompt="x", cache="off")).flight is None
    by_setting = admission(IMAGEQUEUE_CACHE="use").entry(Job(prompt="x")).flight
    assert by_setting == admission().entry(Job(prompt="x", cache="use")).flight
    assert by_setting is not None
    refreshed = admission().entry(Job(prompt="x", cache="refresh")).flight
    assert refreshed is not None
    assert (refreshed.form, refreshed.mode) == (by_setting.form, "refresh")


def test_tenants_have_results_of_their_own_unless_they_are_shared() -> None:
    def form(asked: Admission, tenant: str) -> str:
        flight = asked.entry(Job(prompt="x", cache="use", tenant=tenant)).flight
        assert flight is not None
        return flight.form

    own, shared = admission(), admission(IMAGEQUEUE_CACHE_SCOPE="shared")
    assert form(own, "red") != form(own, "blue")
    assert form(shared, "red") == form(shared, "blue")


@pytest.mark.parametrize(("reference", "takes_part"), [(DIGEST, True), ("https://example.com/cat.png", False)])
def test_what_stands_at_an_address_may_change_so_it_takes_no_part(reference: str, *, takes_part: bool) -> None:
    job = Job(prompt="x", operation="edit", images=(reference,), cache="use")
    assert (admission().entry(job).flight is not None) is takes_part


def test_the_same_body_is_known_after_a_default_has_changed() -> None:
    job = Job(prompt="x", idempotency_key="k")
    before, after = admission().entry(job), admission(IMAGEQUEUE_CACHE="use").entry(job)
    assert before.job != after.job
    assert (before.id, before.fingerprint) == (after.id, after.fingerprint)
    other = admission().entry(Job(prompt="y", idempotency_key="k"))
    assert (other.id == before.id, other.fingerprint == before.fingerprint) == (True, False)


def test_a_client_that_stays_open_knows_when_a_model_has_ended() -> None:
    model = next(model for model in CATALOG.models.values() if model.lifecycle.ends)
    ends = model.lifecycle.ends
    assert ends is not None
    today = [date(ends.year - 1, 1, 1)]
    both = settings(IMAGEQUEUE_MODELS=f'["{model.name}", "gpt-image-2"]')
    asked = Admission(both, CATALOG, lambda: today[0])
    assert asked.entry(Job(prompt="x")).job.model == model.name
    today[0] = date(ends.year + 1, 1, 1)
    assert asked.entry(Job(prompt="x")).job.model == "gpt-image-2"
