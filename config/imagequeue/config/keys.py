"""Every Redis key, in one place: RQ's own, so that its tools read true figures, and ours beside them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Key names under one prefix. RQ's prefix is `rq` unless RQ_KEY_PREFIX says otherwise; ours is `imagequeue`."""

    rq: str = "rq"
    own: str = "imagequeue"

    @classmethod
    def under(cls, rq_prefix: str) -> "Keys":
        """Return the keys that go with an RQ prefix; another prefix than `rq` also sets ours apart."""
        return cls() if rq_prefix == "rq" else cls(rq=rq_prefix, own=f"{rq_prefix}:imagequeue")

    # RQ's keys, as in rq 3.0: queue.py, job.py, registry.py, results.py, worker_registration.py, suspension.py
    @property
    def queues(self) -> str:
        """Set of queue keys."""
        return f"{self.rq}:queues"

    def queue(self, name: str) -> str:
        """List of queued job ids."""
        return f"{self.rq}:queue:{name}"

    @property
    def job_prefix(self) -> str:
        """What job hashes' keys begin with."""
        return f"{self.rq}:job:"

    def job(self, job_id: str) -> str:
        """Hash of one job."""
        return f"{self.rq}:job:{job_id}"

    def registry(self, registry: str, queue: str) -> str:
        """Sorted set of job ids: wip, finished, failed, deferred, scheduled or canceled."""
        return f"{self.rq}:{registry}:{queue}"

    @property
    def result_prefix(self) -> str:
        """What result streams' keys begin with."""
        return f"{self.rq}:results:"

    @property
    def workers(self) -> str:
        """Set of worker keys."""
        return f"{self.rq}:workers"

    def queue_workers(self, queue: str) -> str:
        """Set of the keys of the workers of one queue."""
        return f"{self.rq}:workers:{queue}"

    def worker(self, name: str) -> str:
        """Hash of one worker."""
        return f"{self.rq}:worker:{name}"

    @property
    def suspended(self) -> str:
        """Present while `rq suspend` holds."""
        return f"{self.rq}:suspended"
