"""The catalog: models, tiers, prices and limits as data with source and date, and the pure rules over them."""

from imagequeue.config.catalog.check import adapt_job, check_job, choose_model
from imagequeue.config.catalog.inputs import check_inputs
from imagequeue.config.catalog.lifecycle import CatalogRow, LifecycleState, catalog_rows, lifecycle
from imagequeue.config.catalog.limits import Limits, limits_of, limits_of_tier, served_by, serves
from imagequeue.config.catalog.load import load_catalog
from imagequeue.config.catalog.prices import (
    Usage,
    estimate_tokens,
    price_call,
    price_job_upper_bound,
    price_upper_bound,
)
from imagequeue.config.catalog.records import Catalog, Model, Tier
from imagequeue.config.catalog.tokens import output_tokens, output_tokens_max

__all__ = [
    "Catalog",
    "CatalogRow",
    "LifecycleState",
    "Limits",
    "Model",
    "Tier",
    "Usage",
    "adapt_job",
    "catalog_rows",
    "check_inputs",
    "check_job",
    "choose_model",
    "estimate_tokens",
    "lifecycle",
    "limits_of",
    "limits_of_tier",
    "load_catalog",
    "output_tokens",
    "output_tokens_max",
    "price_call",
    "price_job_upper_bound",
    "price_upper_bound",
    "served_by",
    "serves",
]
