"""The packaged figures: complete, each with source and date; limits by tier; dates; and the user's own laid over."""

from collections.abc import Mapping
from datetime import date

import pytest

from imagequeue.config.catalog import Catalog, catalog_rows, lifecycle, limits_of, load_catalog, served_by, serves
from imagequeue.config.catalog.records import Sourced
from imagequeue.config.errors import ConfigError, JobRefused
from imagequeue.config.orgs import Org

TODAY = date(2026, 11, 22)
DALL_E_3 = {"free": 0, "1": 500, "2": 2500, "3": 5000, "4": 7500, "5": 10_000}
GPT_IMAGE = {"free": 0, "1": 5, "2": 20, "3": 50, "4": 150, "5": 250}
GPT_IMAGE_TOKENS = {"1": 100_000, "2": 250_000, "3": 800_000, "4": 3_000_000, "5": 8_000_000}


def org(**fields: object) -> Org:
    return Org.model_validate({"name": "main", "api_key": "k", **fields})


def sourced(record: object) -> list[Sourced]:
    """Return every record with a source under a record, itself included."""
    found = [record] if isinstance(record, Sourced) else []
    inner: list[object] = []
    if isinstance(record, Mapping):
        inner = list(record.values())
    elif isinstance(record, tuple):
        inner = list(record)
    elif hasattr(record, "__pydantic_fields__"):
        inner = [value for _, value in record]  # type: ignore[attr-defined]  # a pydantic model yields its fields
    return found + [one for item in inner for one in sourced(item)]


def test_every_record_of_the_packaged_catalog_names_known_sources_and_a_date(catalog: Catalog) -> None:
    """A tier's limit may leave both to its table."""
    for model in catalog.models.values():
        for record in [model.lifecycle, model.accepts, model.limits, *model.image_prices, *model.token_prices]:
            assert record.source, model.name
            assert record.date, model.name
    for record in sourced(catalog.models) + sourced(catalog.tiers):
        assert set(record.source) <= set(catalog.sources), record
        assert bool(record.source) == bool(record.date), record


def test_every_model_of_the_family_is_known(catalog: Catalog) -> None:
    assert {name: model.limit_group for name, model in catalog.models.items()} == {
        "dall-e-3": "dall-e-3",
        "dall-e-2": "dall-e-2",
        "gpt-image-1": "gpt-image-1",
        "gpt-image-1-mini": "gpt-image-1-mini",
        "gpt-image-1.5": "gpt-image-1.5",
        "chatgpt-image-latest": "gpt-image-1.5",
        "gpt-image-2": "gpt-image",
        "gpt-image-2.5-sunburst": "gpt-image",
        "gpt-image-2.5-flare": "gpt-image",
        "gpt-image-2.6-sunburst": "gpt-image",
        "gpt-image-2.6-flare": "gpt-image",
    }


@pytest.mark.parametrize(
    ("name", "state", "successor"),
    [
        ("dall-e-3", "retired", "gpt-image-2.5-sunburst"),
        ("dall-e-2", "retired", "gpt-image-2.5-sunburst"),
        ("gpt-image-1", "retired", "gpt-image-2.5-sunburst"),
        ("gpt-image-1-mini", "ending", "gpt-image-2.6-sunburst"),
        ("gpt-image-1.5", "ending", "gpt-image-2.6-sunburst"),
        ("gpt-image-2", "active", None),
        ("gpt-image-2.6-flare", "active", None),
    ],
)
def test_where_models_stand_in_november_2026(catalog: Catalog, name: str, state: str, successor: str | None) -> None:
    stands = lifecycle(catalog.model(name), TODAY)
    assert (stands.state, stands.successor) == (state, successor)


def test_a_model_is_ending_for_sixty_days_and_retired_from_its_day(catalog: Catalog) -> None:
    days = [date(2026, 10, 1), date(2026, 10, 2), date(2026, 11, 30), date(2026, 12, 1)]
    states = [lifecycle(catalog.model("gpt-image-1.5"), day) for day in days]
    assert [stands.state for stands in states] == ["active", "ending", "ending", "retired"]
    assert states[1].describe() == "ends 2026-12-01 (in 60 days), then gpt-image-2.6-sunburst"
    assert states[2].describe() == "ends 2026-12-01 (in 1 day), then gpt-image-2.6-sunburst"
    assert states[3].describe() == "retired 2026-12-01, use gpt-image-2.6-sunburst"


@pytest.mark.parametrize("tier", DALL_E_3)
def test_published_limits_by_tier(catalog: Catalog, tier: str) -> None:
    dall_e = limits_of(catalog, org(tier=tier), "dall-e-3")
    assert (dall_e.images_per_minute, dall_e.tokens_per_minute) == (DALL_E_3[tier], None)
    assert dall_e.served == (tier != "free")
    for name in ("gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2", "gpt-image-2.6-flare"):
        limits = limits_of(catalog, org(tier=tier), name)
        assert (limits.images_per_minute, limits.tokens_per_minute) == (GPT_IMAGE[tier], GPT_IMAGE_TOKENS.get(tier))


def test_newer_tier_names_work_in_any_case(catalog: Catalog) -> None:
    """Where a model publishes nothing under them, the figure of the tier they equal stands in, and says so."""
    found = [limits_of(catalog, org(tier=tier), "dall-e-3").images_per_minute for tier in ("Build", "launch", "GROW")]
    assert found == [2500, 7500, 10_000]
    limits = limits_of(catalog, org(tier="Build"), "gpt-image-2")
    assert limits.images_per_minute == 20
    assert limits.source.startswith("no figure for Build, that of Tier 2: wavespeed-2026-04")


def test_an_organizations_own_limits_win_figure_by_figure(catalog: Catalog) -> None:
    own = org(
        tier="1",
        limits={
            "gpt-image-2": {"images_per_minute": 7},
            "gpt-image": {"images_per_minute": 9, "tokens_per_minute": None},
            "dall-e-3": {"images_per_minute": 0},
        },
    )
    by_model = limits_of(catalog, own, "gpt-image-2")
    assert (by_model.images_per_minute, by_model.tokens_per_minute) == (7, 100_000)
    by_group = limits_of(catalog, own, "gpt-image-2.5-flare")
    assert (by_group.images_per_minute, by_group.tokens_per_minute) == (9, None)
    assert by_group.source == "limits of organization main"
    assert not limits_of(catalog, own, "dall-e-3").served


def test_openais_tiers_bind_another_kind_of_server_only_when_named(catalog: Catalog) -> None:
    lab = {"kind": "compatible", "base_url": "http://10.0.0.5/v1"}
    assert limits_of(catalog, org(**lab), "dall-e-3").images_per_minute is None
    assert limits_of(catalog, org(**lab, tier="1"), "dall-e-3").images_per_minute == 500


def test_an_ended_model_is_served_by_other_servers_only(catalog: Catalog) -> None:
    openai, lab = org(), org(name="lab", kind="compatible", base_url="http://10.0.0.5/v1")
    stand_in = org(name="sim", base_url="http://127.0.0.1:9/v1")
    assert [serves(catalog, one, "dall-e-3", TODAY) for one in (openai, lab, stand_in)] == [False, True, True]
    assert serves(catalog, openai, "dall-e-3", date(2026, 5, 11))
    assert not serves(catalog, org(tier="free"), "gpt-image-2", TODAY)
    assert not serves(catalog, openai, "unknown", TODAY)
    served = served_by(catalog, [openai, org(name="second", tier="free")], TODAY)
    assert [name for name in ("dall-e-3", "gpt-image-2") if served(name)] == ["gpt-image-2"]


def test_rows_are_all_models_or_those_named(catalog: Catalog) -> None:
    assert [row.model.name for row in catalog_rows(catalog, TODAY)] == list(catalog.models)
    assert [row.model.name for row in catalog_rows(catalog, TODAY, ["dall-e-2"])] == ["dall-e-2"]
    with pytest.raises(JobRefused, match="did you mean dall-e-2"):
        catalog_rows(catalog, TODAY, ["dalle-2"])


def test_the_version_changes_with_any_figure_and_with_nothing_else(catalog: Catalog) -> None:
    assert load_catalog({}).version == catalog.version
    changed = load_catalog({"models": {"dall-e-3": {"limits": {"tiers": {"1": {"images_per_minute": 7}}}}}})
    assert changed.version != catalog.version
    assert limits_of(changed, org(), "dall-e-3").images_per_minute == 7
    assert limits_of(changed, org(tier="2"), "dall-e-3").images_per_minute == 2500


def test_a_model_of_ones_own_takes_anything_unless_it_says_otherwise() -> None:
    free = {"models": {"flux": {"image_prices": [{"usd": {"*": {"*": 0}}}], "accepts": {"qualities": ["*"]}}}}
    model = load_catalog(free).model("flux")
    assert (model.limit_group, model.priced_by, lifecycle(model, TODAY).state) == ("flux", "image", "active")


def test_a_model_like_another_copies_all_but_its_dates(catalog: Catalog) -> None:
    mine = load_catalog({"models": {"my-dall-e": {"like": "dall-e-3", "limit_group": "mine"}}}).model("my-dall-e")
    assert mine.image_prices == catalog.model("dall-e-3").image_prices
    assert (mine.limit_group, lifecycle(mine, TODAY).state) == ("mine", "active")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ({"modles": {}}, "catalog.modles: unknown key; did you mean models?"),
        ({"models": {"m": {}}}, "catalog.models.m: either image_prices or token_prices is needed"),
        ({"models": {"m": 1}}, "catalog.models.m: a table is needed"),
        ({"models": {"dall-e-3": {"limts": {}}}}, "catalog.models.dall-e-3.limts: unknown key; did you mean limits?"),
        ({"models": {"m": {"like": "dalle-3"}}}, "catalog.models.m.like: unknown model; did you mean dall-e-3?"),
        ({"models": {"m": {"like": "m"}}}, "catalog.models.m.like: at most 8 steps"),
        ({"models": {"a": {"like": "b"}, "b": {"like": "a"}}}, "catalog.models.a.like: at most 8 steps"),
        (
            {"models": {"dall-e-3": {"accepts": {"sizes": ["1024x1024", "2048x2048"]}}}},
            'catalog.models.dall-e-3.image_prices: no price for quality "standard", size "2048x2048"',
        ),
        (
            {"models": {"gpt-image-2": {"accepts": {"qualities": ["medium", "ultra"]}}}},
            'catalog.models.gpt-image-2.output_tokens: no figure for quality "ultra"',
        ),
        (
            {"models": {"dall-e-3": {"image_prices": [{"usd": {"*": {"*": "dear"}}}]}}},
            "catalog.models.dall-e-3.image_prices.0.usd.*.*: an amount of dollars is needed",
        ),
        (
            {"models": {"dall-e-3": {"image_prices": [{"usd": {"*": {"*": -1}}}]}}},
            "catalog.models.dall-e-3.image_prices.0.usd.*.*: an amount of dollars that is not negative",
        ),
        (
            {"models": {"dall-e-3": {"limits": {"tiers": {"9": {}}}}}},
            "catalog.models.dall-e-3.limits.tiers.9: unknown tier",
        ),
        (
            {"models": {"dall-e-3": {"limits": {"tiers": {"1": {"images_per_minute": -1}}}}}},
            "catalog.models.dall-e-3.limits.tiers.1.images_per_minute: Input should be greater",
        ),
        (
            {"models": {"dall-e-3": {"accepts": {"standard_size": "1x1"}}}},
            "catalog.models.dall-e-3.accepts: standard_size must be one of sizes: 1024x1024",
        ),
        ({"tiers": {"2": {"like": "9"}}}, "catalog.tiers.2.like: unknown tier"),
    ],
)
def test_a_wrong_figure_of_ones_own_is_named_by_its_key(overrides: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_catalog(overrides)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)
