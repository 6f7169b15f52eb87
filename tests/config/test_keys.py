"""Redis keys are RQ's own names, and another prefix sets everything apart."""

from imagequeue.config.keys import Keys


def test_keys_are_the_ones_rq_uses() -> None:
    """Held against the classes of the installed RQ, so that its tools read our figures."""
    from rq.job import Job
    from rq.queue import Queue
    from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry, StartedJobRegistry

    keys = Keys()
    assert keys.queue("dall-e-3.high") == f"{Queue.redis_queue_namespace_prefix}dall-e-3.high"
    assert keys.queues == Queue.redis_queues_keys
    assert keys.job_prefix == Job.redis_job_namespace_prefix
    for name, registry in {
        "wip": StartedJobRegistry,
        "failed": FailedJobRegistry,
        "finished": FinishedJobRegistry,
        "scheduled": ScheduledJobRegistry,
    }.items():
        assert keys.registry(name, "q") == registry.key_template.format("q")


def test_another_prefix_shares_no_key() -> None:
    assert Keys.under("rq") == Keys()
    other = Keys.under("blue")
    assert other.job("1") == "blue:job:1"
    assert other.own == "blue:imagequeue"
