"""`enqueue`, `jobs`, `status`, `suspend` and `resume` on the command line: what they print and how they exit."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]
"""Runs a command; gives its exit code, standard output and standard error."""


def test_enqueue_prints_the_id_and_jobs_show_what_was_asked(imagequeue: Command) -> None:
    code, out, _ = imagequeue(
        "enqueue", "--prompt", "a fox", "--priority", "high", "--tag", "a=b=c", "--metadata", '{"x": 1}', "--n", "1"
    )
    assert code == 0
    code, shown, _ = imagequeue("jobs", "show", out.strip(), "--json")
    job = json.loads(shown)["job"]
    assert code == 0
    assert job.items() >= {"prompt": "a fox", "priority": "high", "tags": {"a": "b=c"}, "metadata": {"x": 1}}.items()
    code, text, _ = imagequeue("jobs", "show", out.strip())
    assert "a fox" in text
    assert "no worker is running" in text
    assert "\n  metadata  x=1\n" in text
    assert "partial_images" not in text, "a default goes without saying"


def test_enqueue_reads_a_file_and_a_pipe(imagequeue: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(json.dumps({"prompt": f"{number}"}) + "\n" for number in range(1_100))
    (tmp_path / "jobs.jsonl").write_text(lines, encoding="utf-8")
    code, out, _ = imagequeue("enqueue", "--file", "jobs.jsonl")
    assert (code, len(set(out.split()))) == (0, 1_100)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    code, out, _ = imagequeue("enqueue", "-", "--json")
    assert (code, len(json.loads(out)["jobs"])) == (0, 1_100)
    code, out, _ = imagequeue("status", "--json")
    assert json.loads(out)["totals"]["queued"] == 2_200


def test_the_tables_of_status_have_the_columns_that_the_page_shows(imagequeue: Command) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operate.md").read_text(encoding="utf-8")
    imagequeue("enqueue", "--prompt", "x", "--model", "dall-e-3")
    heads = [line.split() for line in imagequeue("status")[1].splitlines() if line.startswith(("QUEUE", "POOL"))]
    assert len(heads) == 2
    assert [head for head in heads if head not in [line.split() for line in page.splitlines()]] == []


def test_an_empty_file_is_no_job_and_prints_no_id(imagequeue: Command, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("\n", encoding="utf-8")
    assert imagequeue("enqueue", "--file", "none.jsonl") == (0, "", "")
    assert json.loads(imagequeue("enqueue", "--file", "none.jsonl", "--json")[1]) == {"jobs": []}


def test_a_name_as_long_as_its_column_stands_apart_from_its_value(imagequeue: Command) -> None:
    _, out, _ = imagequeue("enqueue", "--prompt", "x", "--max-cost-usd", "1", "--not-before", "2999-01-01")
    text = imagequeue("jobs", "show", out.strip())[1]
    assert "\n  max_cost_usd 1\n" in text
    assert "\n  not_before 2999-01-01" in text


def test_of_a_file_with_a_bad_line_nothing_is_queued(imagequeue: Command, tmp_path: Path) -> None:
    good = '{"prompt": "x"}\n' * 700
    (tmp_path / "bad.jsonl").write_text(good + '{"prompt": "x", "size": "9x9"}\n', encoding="utf-8")
    code, out, err = imagequeue("enqueue", "--file", "bad.jsonl")
    assert (code, out) == (2, "")
    assert err.startswith("imagequeue: line 701: size: dall-e-3 does not take '9x9'; accepted: 1024x1024")
    assert json.loads(imagequeue("status", "--json")[1])["totals"]["queued"] == 0


def test_a_key_that_was_used_before_with_another_body_stops_the_whole_file(imagequeue: Command, tmp_path: Path) -> None:
    imagequeue("enqueue", "--prompt", "first", "--idempotency-key", "k")
    lines = [{"prompt": "new"}, {"prompt": "other", "idempotency_key": "k"}]
    (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    code, _, err = imagequeue("enqueue", "--file", "jobs.jsonl")
    assert code == 2
    assert "line 2: idempotency_key: 'k' was used before with another body" in err
    assert json.loads(imagequeue("status", "--json")[1])["totals"]["queued"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["enqueue"], "--prompt TEXT, --file JOBS.jsonl or - is needed"),
        (["enqueue", "--file", "nope.jsonl"], "file: cannot read nope.jsonl: No such file"),
        (["enqueue", "--file", "x", "--priority", "high"], "in a file each line says its own --priority"),
        (["enqueue", "-", "--file", "x"], "one file"),
        (["enqueue", "--prompt", "x", "--priority", "urgent"], "priority: "),
        (["enqueue", "--prompt", "x", "--tag", "nope"], "tag: k=v is needed, not 'nope'"),
        (["enqueue", "--prompt", "x", "--metadata", "{"], "metadata: a JSON object is needed"),
        (["enqueue", "--prompt", "x", "--webhook", "https://a.b"], "webhook: the address of a configured endpoint"),
        (["jobs", "list", "--status", "done"], "status: accepted: queued, waiting"),
        (["jobs", "list", "--priority", "urgent"], "priority: accepted: high, default, low"),
        (["jobs", "list", "--limit", "0"], "limit: 1 to 1000"),
        (["jobs", "list", "--after", "x"], "after: the cursor"),
        (["jobs", "retry", "x", "--priority", "urgent"], "priority: accepted: high, default, low"),
        (["suspend", "nope"], "pool: 'nope' is unknown; known: main|dall-e-3"),
        (["resume"], "one POOL or --all is needed"),
        (["suspend", "main|dall-e-3", "--tenant", "shop"], "one POOL or --all is needed"),
        (["suspend", "--org", "nobody"], "pool: 'nobody|*' is unknown; known: main|dall-e-3"),
        (["suspend", "--queue", "dall-e-3.urgent"], "queue: 'dall-e-3.urgent' is unknown; accepted: MODEL.PRIORITY"),
        (["suspend", "--tenant", "a b"], "tenant: 1 to 64 letters"),
        (["suspend", "--tenant", "shop", "--minutes", "5"], "--minutes is for pools only"),
        (["jobs", "priority", "x", "urgent"], "priority: accepted: high, default, low"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(imagequeue: Command, arguments: list[str], said: str) -> None:
    code, out, err = imagequeue(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_jobs_are_cancelled_and_queued_again_one_by_one(imagequeue: Command) -> None:
    ids = [imagequeue("enqueue", "--prompt", f"{number}")[1].strip() for number in range(2)]
    code, out, err = imagequeue("jobs", "cancel", *ids, "nope", "--json")
    assert code == 1
    assert [(job["id"], job["status"]) for job in json.loads(out)["jobs"]] == [(job_id, "cancelled") for job_id in ids]
    assert "job nope: there is none of this id" in err
    page = json.loads(imagequeue("jobs", "list", "--status", "cancelled", "--json")[1])
    assert {job["id"] for job in page["jobs"]} == set(ids)
    code, out, _ = imagequeue("jobs", "retry", ids[0], "--priority", "high")
    assert (code, out) == (0, f"{ids[0]}  queued again\n")
    page = json.loads(imagequeue("jobs", "list", "--priority", "high", "--json")[1])
    assert [job["id"] for job in page["jobs"]] == ids[:1]
    code, _, err = imagequeue("jobs", "keep", ids[0])
    assert code == 1
    assert "has no images" in err


def test_a_list_goes_on_after_its_cursor(imagequeue: Command) -> None:
    for number in range(3):
        imagequeue("enqueue", "--prompt", f"job number {number}")
    code, text, _ = imagequeue("jobs", "list", "--limit", "2")
    assert code == 0
    assert "job number 2" in text
    cursor = text.split("--after ")[1].strip()
    code, rest, _ = imagequeue("jobs", "list", "--after", cursor)
    assert "job number 0" in rest
    assert "job number 2" not in rest


def test_a_prompt_cannot_move_the_cursor_of_a_terminal(imagequeue: Command) -> None:
    _, out, _ = imagequeue("enqueue", "--prompt", "a\x1b[2Jfox")
    for arguments in (["jobs", "list"], ["jobs", "show", out.strip()]):
        text = imagequeue(*arguments)[1]
        assert "\x1b" not in text
        assert "fox" in text


def test_a_pool_is_suspended_and_resumed(imagequeue: Command) -> None:
    _, job_id, _ = imagequeue("enqueue", "--prompt", "x", "--model", "dall-e-3")
    assert imagequeue("suspend", "main|dall-e-3", "--reason", "weekend", "--minutes", "5")[0] == 0
    waiting = json.loads(imagequeue("jobs", "show", "--json", job_id.strip())[1])["waiting"]
    assert (waiting["reason"], waiting["detail"]) == ("paused", "main|dall-e-3 is suspended: weekend")
    assert waiting["until"] is not None
    text = imagequeue("status")[1]
    assert "weekend" in text
    assert imagequeue("resume", "--all")[0] == 0
    assert "weekend" not in imagequeue("status")[1]


@pytest.mark.parametrize(
    ("which", "detail"),
    [
        (("--org", "main", "--model", "dall-e-3"), "main|dall-e-3 is suspended: audit"),
        (("--tenant", "default"), "tenant default is suspended: audit"),
        (("--queue", "dall-e-3.default"), "queue dall-e-3.default is suspended: audit"),
        (("--all",), "all queues are suspended: audit"),
    ],
)
def test_every_switch_says_why_in_the_job_and_in_the_status_and_may_be_thrown_twice(
    imagequeue: Command, which: tuple[str, ...], detail: str
) -> None:
    job_id = imagequeue("enqueue", "--prompt", "x", "--model", "dall-e-3")[1].strip()
    changed = []
    for _ in range(2):
        code, out, _ = imagequeue("suspend", *which, "--reason", "audit", "--json")
        assert code == 0
        changed.append(json.loads(out)["suspended"][0]["changed"])
    assert changed == [True, False]
    waiting = json.loads(imagequeue("jobs", "show", "--json", job_id)[1])["waiting"]
    assert (waiting["reason"], waiting["until"], waiting["detail"]) == ("paused", None, detail)
    assert "audit" in imagequeue("status")[1]
    changed = [json.loads(imagequeue("resume", *which, "--json")[1])["resumed"][0]["changed"] for _ in range(2)]
    assert changed == [True, False]
    assert "audit" not in imagequeue("status")[1]
    assert "suspended" not in json.loads(imagequeue("jobs", "show", "--json", job_id)[1])["waiting"]["detail"]


def test_resuming_all_ends_every_suspension_of_a_person(imagequeue: Command) -> None:
    imagequeue("enqueue", "--prompt", "x", "--model", "dall-e-3")
    for which in (("main|dall-e-3",), ("--tenant", "default"), ("--queue", "dall-e-3.low"), ("--all",)):
        assert imagequeue("suspend", *which, "--reason", "audit")[0] == 0
    assert imagequeue("resume", "--all")[0] == 0
    status = json.loads(imagequeue("status", "--json")[1])
    assert (status["suspended"], status["held_tenants"]) == (False, [])
    assert not any(pool["suspended"] for pool in status["pools"])
    assert not any(queue["suspended"] for queue in status["queues"])


def test_a_queued_job_moves_to_another_priority(imagequeue: Command) -> None:
    job_id = imagequeue("enqueue", "--prompt", "x", "--model", "dall-e-3")[1].strip()
    assert imagequeue("jobs", "priority", job_id, "high")[:2] == (0, f"{job_id}  moved to priority high\n")
    assert json.loads(imagequeue("jobs", "show", "--json", job_id)[1])["job"]["priority"] == "high"
    assert imagequeue("jobs", "priority", job_id, "high")[:2] == (0, f"{job_id}  has priority high already\n")
    imagequeue("jobs", "cancel", job_id)
    code, _, err = imagequeue("jobs", "priority", job_id, "low")
    assert (code, "is cancelled; only one that has not started" in err) == (1, True)


def test_waiting_ends_with_the_jobs_and_their_result_is_the_exit_code(imagequeue: Command) -> None:
    code, out, _ = imagequeue("enqueue", "--prompt", "x", "--idempotency-key", "k")
    imagequeue("jobs", "cancel", out.strip())
    code, text, _ = imagequeue("enqueue", "--prompt", "x", "--idempotency-key", "k", "--wait")
    assert code == 1
    assert f"{out.strip()}  cancelled" in text
    code, text, _ = imagequeue("enqueue", "--prompt", "x", "--idempotency-key", "k", "--wait", "--json")
    assert [job["status"] for job in json.loads(text)["jobs"]] == ["cancelled"]
