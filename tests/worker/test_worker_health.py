"""What keeps a worker from claiming is said in one line, part by part."""

from imagequeue.worker.health import Health


def test_each_part_is_named_once_and_only_while_it_does_not_work() -> None:
    health = Health()
    health.fails("ledger", "ledger: a commit has waited for 4 s")
    health.fails("store", "no space is left")
    assert health.note == "ledger: a commit has waited for 4 s; store: no space is left"
    health.works("ledger")
    assert health.note == "store: no space is left"
