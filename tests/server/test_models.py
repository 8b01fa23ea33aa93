import pytest

from proxy.config.secrets import Secret
from proxy.config.snapshot import Provider, Server, Snapshot, Telemetry
from proxy.errors import ClientError
from proxy.routing.overrides import Overrides
from proxy.server.models import model_list, one_model


def provider(name, **fields):
    return Provider(name=name, dialect="openai", base_url="https://p.test/v1", **({"auth": "optional"} | fields))


def snapshot(*providers):
    return Snapshot(
        generation="g",
        server=Server(),
        telemetry=Telemetry(),
        providers={each.name: each for each in providers},
        routes=(),
        policies={},
    )


def ids(*providers):
    return [model["id"] for model in model_list(snapshot(*providers), Overrides())["data"]]


def test_the_list_is_empty_without_providers():
    assert model_list(snapshot(), Overrides()) == {"object": "list", "data": []}


def test_a_model_has_openais_shape_and_is_owned_by_its_provider():
    (model,) = model_list(snapshot(provider("p1", models={"fast": "x"})), Overrides())["data"]

    assert model == {"id": "fast", "object": "model", "created": 0, "owned_by": "p1"}


def test_what_default_stands_for_is_listed_under_its_own_name():
    assert ids(provider("p1", models={"fast": "x", "default": "y"})) == ["fast", "y"]


def test_a_name_that_is_mapped_and_the_default_is_listed_once():
    assert ids(provider("p1", models={"fast": "x", "default": "fast"})) == ["fast"]


def test_models_of_images_are_listed_too():
    assert ids(provider("p1", models={"fast": "x"}, image_models={"paint": "y", "default": "flux"})) == [
        "fast",
        "paint",
        "flux",
    ]


def test_the_list_is_a_union_in_the_order_of_priority():
    second = provider("p2", priority=2, models={"slow": "x", "fast": "y"})
    first = provider("p1", priority=1, models={"fast": "z"})

    assert ids(second, first) == ["fast", "slow"]
    assert model_list(snapshot(second, first), Overrides())["data"][0]["owned_by"] == "p1"


def test_a_disabled_provider_lists_nothing():
    assert ids(provider("p1", enabled=False, models={"fast": "x"})) == []


def test_a_provider_without_the_key_it_needs_lists_nothing():
    assert ids(provider("p1", auth="required", api_key=Secret(""), models={"fast": "x"})) == []


def test_one_model_is_found_by_its_name():
    assert one_model(snapshot(provider("p1", models={"a/b:free": "x"})), Overrides(), "a/b:free")["owned_by"] == "p1"


@pytest.mark.parametrize("name", ["", "default", "other", "FAST"])
def test_a_model_that_is_not_listed_is_a_404(name):
    with pytest.raises(ClientError) as caught:
        one_model(snapshot(provider("p1", models={"fast": "x", "default": "y"})), Overrides(), name)

    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "model_not_found", "model")
