"""`GET /v1/models`: what the app may ask for, out of the configuration alone. Pure."""

from typing import Any

from proxy.config.snapshot import Provider, Snapshot
from proxy.errors import ClientError
from proxy.routing.overrides import Overrides


def model_list(snapshot: Snapshot, overrides: Overrides) -> dict[str, Any]:
    """The union over the enabled providers' mapped names, in OpenAI's shape, in order of the providers' priority."""
    owners: dict[str, str] = {}
    for provider in sorted(snapshot.providers.values(), key=lambda provider: provider.priority):
        if overrides.allows(provider) and provider.configured:
            for name in model_names(provider):
                owners.setdefault(name, provider.name)
    return {"object": "list", "data": [_model(name, owner) for name, owner in owners.items()]}


def one_model(snapshot: Snapshot, overrides: Overrides, name: str) -> dict[str, Any]:
    """One entry of the list. Raises ClientError 404."""
    for model in model_list(snapshot, overrides)["data"]:
        if model["id"] == name:
            return dict(model)
    raise ClientError("there is no such model here", status=404, code="model_not_found", param="model")


def model_names(provider: Provider) -> list[str]:
    """Names that a client may use for this provider: the mapped ones, and what `default` stands for."""
    names: list[str] = []
    for mapping in (provider.models, provider.image_models):
        names += [name for name in mapping if name != "default"]
        names += [mapping["default"]] if "default" in mapping else []
    return list(dict.fromkeys(names))


def _model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
