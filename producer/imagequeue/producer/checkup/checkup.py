"""All checks in order; those that wait for others' answers run at the same time."""

import asyncio
from collections.abc import Mapping
from datetime import date

from imagequeue.config.catalog import load_catalog
from imagequeue.config.errors import ConfigError
from imagequeue.config.settings import Settings, load_settings
from imagequeue.producer.checkup.finding import Finding, fail, guarded, ok
from imagequeue.producer.checkup.machine import check_machine
from imagequeue.producer.checkup.orgs import check_models, check_orgs
from imagequeue.producer.checkup.pools import check_pools
from imagequeue.producer.checkup.provider import check_provider
from imagequeue.producer.checkup.queue_server import check_server
from imagequeue.producer.checkup.storage import check_ledger, check_store
from imagequeue.producer.checkup.webhooks import check_webhooks


async def check_everything(environ: Mapping[str, str], today: date) -> list[Finding]:
    """Return the findings about this machine's configuration and all that it names."""
    try:
        settings = load_settings(environ)
    except ConfigError as error:
        return [fail("configuration", str(error), "mend it and run doctor again")]
    return [ok("configuration", f"read; data dir {settings.data_dir}"), *await _check(settings, today)]


async def _check(settings: Settings, today: date) -> list[Finding]:
    catalog = load_catalog(settings.catalog)
    groups = await asyncio.gather(
        _check_queue(settings),
        guarded("ledger", check_ledger(settings)),
        guarded("store", check_store(settings)),
        guarded("webhooks", check_webhooks(settings)),
        guarded("reconciliation", check_provider(settings)),
        guarded("organizations", check_orgs(settings, catalog, today)),
        guarded("open files", check_machine(settings)),
    )
    return [finding for group in groups for finding in group] + check_models(settings, catalog, today)


async def _check_queue(settings: Settings) -> list[Finding]:
    """Look at the pools where the server answers; where it does not, that is all there is to say."""
    server = await guarded("server", check_server(settings))
    away = any((one.check, one.status) == ("server", "fail") for one in server)
    return server if away else [*server, *await guarded("pools", check_pools(settings))]
