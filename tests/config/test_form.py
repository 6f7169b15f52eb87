"""The canonical form: the same call has the same form, however it is worded; any other call has another."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from imagequeue.config.catalog import Model, load_catalog
from imagequeue.config.form import VERSION, form_of
from imagequeue.config.job import Job

CATALOG = load_catalog()
DIGESTS = tuple(f"sha256:{character * 64}" for character in "abc")
IRRELEVANT: Mapping[str, object] = {
    "priority": "high",
    "tags": {"campaign": "spring"},
    "intent": "cover",
    "idempotency_key": "k",
    "cache": "use",
    "overflow": ["gpt-image-2"],
    "deadline": "2100-01-01T00:00:00Z",
    "not_before": "2099-01-01T00:00:00Z",
    "max_attempts": 3,
    "max_cost_usd": "1.00",
    "on_doubt": "hold",
    "metadata": {"page": 3},
}


def choices(model: Model) -> dict[str, st.SearchStrategy[object]]:
    """What decides the images of a model, each with values that differ from each other."""
    accepts = model.accepts
    sizes = [size for size in accepts.sizes if size != "*"] or ["1024x1024", "1536x1024"]
    found: dict[str, st.SearchStrategy[object]] = {
        "prompt": st.sampled_from(["a cat", "a cat ", "A cat", "a dog"]),
        "operation": st.sampled_from(["generation", "edit"]),
        "n": st.integers(1, 10),
        "size": st.sampled_from(sizes),
        "images": st.sampled_from([(), DIGESTS[:1], DIGESTS[1:2], DIGESTS[:2], DIGESTS[1::-1]]),
        "mask": st.sampled_from([None, *DIGESTS[1:]]),
        "output_format": st.sampled_from(["png", "jpeg", "webp"]),
    }
    listed = {"quality": accepts.qualities, "style": accepts.styles, "background": accepts.backgrounds}
    return found | {name: st.sampled_from(values) for name, values in listed.items() if values and "*" not in values}


@st.composite
def requests(draw: st.DrawFn) -> tuple[Model, dict[str, object]]:
    model = CATALOG.models[draw(st.sampled_from(sorted(CATALOG.models)))]
    return model, {name: draw(values) for name, values in choices(model).items()}


def form(model: Model, fields: Mapping[str, object], tenant: str | None = None) -> str:
    return form_of(Job.model_validate({"model": model.name, **fields}), model, tenant=tenant)


@given(requests(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_neither_order_nor_what_decides_no_image_changes_the_form(
    asked: tuple[Model, dict[str, object]], chance: object
) -> None:
    model, fields = asked
    names = sorted(fields, key=lambda _: chance.random())  # type: ignore[attr-defined]  # hypothesis' Random
    assert form(model, {**IRRELEVANT, **{name: fields[name] for name in names}}) == form(model, fields)


@given(requests(), st.data())
@settings(deadline=None)
def test_a_default_that_is_spelled_out_is_the_same_as_one_left_out(
    asked: tuple[Model, dict[str, object]], data: st.DataObject
) -> None:
    model, fields = asked
    accepts = model.accepts
    defaults: dict[str, object] = {
        "n": 1,
        "operation": "generation",
        "size": accepts.standard_size,
        "output_format": accepts.standard_output_format,
        "images": (),
        "mask": None,
    }
    if accepts.standard_quality is not None:
        defaults["quality"] = accepts.standard_quality
    for name, listed in (("style", accepts.styles), ("background", accepts.backgrounds)):
        if name in fields:
            defaults[name] = listed[0]
    name = data.draw(st.sampled_from(sorted(defaults)))
    spelled = {**fields, name: defaults[name]}
    left_out = {field: value for field, value in spelled.items() if field != name}
    assert form(model, spelled) == form(model, left_out)


@given(requests(), st.data())
@settings(deadline=None)
def test_any_field_that_differs_makes_another_form(asked: tuple[Model, dict[str, object]], data: st.DataObject) -> None:
    model, fields = asked
    name = data.draw(st.sampled_from(sorted(fields)))
    other = data.draw(choices(model)[name].filter(lambda value: value != fields[name]))
    assert form(model, {**fields, name: other}) != form(model, fields)


def test_models_and_tenants_have_forms_of_their_own() -> None:
    dalle, gpt = CATALOG.models["dall-e-3"], CATALOG.models["gpt-image-2"]
    fields = {"prompt": "a cat"}
    forms = {form(dalle, fields), form(gpt, fields), form(dalle, fields, "red"), form(dalle, fields, "blue")}
    assert len(forms) == 4
    assert all(each.startswith(f"{VERSION}-") for each in forms)


def test_text_is_compared_in_its_composed_form() -> None:
    model = CATALOG.models["dall-e-3"]
    assert form(model, {"prompt": "caf\u00e9"}) == form(model, {"prompt": "cafe\u0301"})
    assert form(model, {"prompt": "cafe"}) != form(model, {"prompt": "caf\u00e9"})
