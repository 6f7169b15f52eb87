"""The dashboard and the alerts in deploy/: every figure they name is really there, and the rules do what they say."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own
from observed_site import Site, on_site, settings_of
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from imagequeue.queue.audited import Audited, note_audit
from imagequeue.simulator.process import RunningSimulator

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
METRIC = re.compile(r"\bimagequeue_[a-z0-9_]+")
HOOK = json.dumps([{"name": "shop", "url": "https://shop.example/hook", "secret": "env:SHOP_SECRET"}])
SECRET = "whsec_" + "A" * 32
PROMTOOL_SECONDS_MAX = 150
ONLY_FOR_ADMINS = {"imagequeue_tenant_settled_usd"}
"""What `?tenants=1` adds."""


def dashboard() -> dict[str, Any]:
    """Return the dashboard, decoded."""
    decoded: dict[str, Any] = json.loads((DEPLOY / "grafana" / "imagequeue.json").read_text())
    return decoded


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[str]:
    """Return every query of dashboard and alerts."""
    targets = [target for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    return [target["expr"] for target in targets] + [rule["expr"] for rule in rules()]


def scraped(server_url: str, simulator: RunningSimulator, folder: Path) -> list[Metric]:
    """Return the families of a scrape after some jobs."""
    found: list[Metric] = []

    async def story(site: Site) -> None:
        await note_audit(site.door.scripts, Audited(at=site.door.clock.now(), breach=False))
        await site.submit()
        await site.burst()
        found.extend(text_string_to_metric_families(await site.metrics()))

    on_site(settings_of(server_url, simulator, folder, IMAGEQUEUE_WEBHOOKS=HOOK, SHOP_SECRET=SECRET), story)
    return found


def name_of(family: Metric) -> str:
    """Return a figure's name as it is written in queries."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def labels_of(families: list[Metric]) -> dict[str, set[str]]:
    """Return the labels of every sample's name."""
    found: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_figure_of_dashboard_and_alerts_is_in_a_real_scrape(
    server_url: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    """And whatever a query groups by is a label of it."""
    families = scraped(server_url, simulator, tmp_path)
    found = {name_of(family): set[str]() for family in families} | labels_of(families)
    asked = {name for query in expressions() for name in METRIC.findall(query)}
    assert len(asked) > 40
    assert asked <= found.keys()
    for query in expressions():
        labels = {label for name in METRIC.findall(query) for label in found[name] or {"org"}}
        grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(",")}
        assert grouped <= labels, query


def test_the_metrics_page_lists_every_figure_and_no_other(
    server_url: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `(imagequeue_[a-z0-9_]+)", page, re.MULTILINE))
    shown = {name_of(family) for family in scraped(server_url, simulator, tmp_path)}
    assert listed - ONLY_FOR_ADMINS == shown


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or (panel["targets"] and panel["description"])
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as renderers make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_alert_says_what_to_do_and_where_it_stands() -> None:
    known = anchors(ROOT / "docs" / "troubleshoot.md")
    for rule in rules():
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "action", "runbook_url"}
        page, _, anchor = notes["runbook_url"].partition("#")
        assert page == "docs/troubleshoot.md"
        assert anchor in known
        assert rule["labels"]["severity"] in ("warning", "critical")


def promtool(*arguments: str) -> None:
    """Run promtool, which must be content; skip without it, but not in CI."""
    if shutil.which("promtool") is None:
        assert not os.environ.get("CI"), "CI installs promtool"
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        timeout=PROMTOOL_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_alerts_fire_when_they_should() -> None:
    """And each of them is in a case of its own file."""
    cases = (DEPLOY / "prometheus" / "alerts_test.yml").read_text()
    assert [rule["alert"] for rule in rules() if rule["alert"] not in cases] == []
    promtool("test", "rules", "alerts_test.yml")
