"""Every setting in force says where it was written, and none of them is a secret."""

import json

from lab.configuration import refusing, routes, write

from proxy.config.effective import effective
from proxy.config.load import load

CANARY = "sk-canary-1234567890"


def settings(tmp_path, documents, variables=None, **policy):
    file = write(tmp_path, documents, policy)
    shown = effective(load(file, None, variables or {}))
    return file, shown["settings"], json.dumps(shown)


def line_of(file, text):
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_a_value_from_a_file_names_its_file_and_line(tmp_path):
    file, shown, _ = settings(tmp_path, routes({"p1": refusing(weight=7)}))
    place = f"{file}:{line_of(file, 'weight')}"
    assert shown["providers"]["p1"]["weight"] == {"value": 7.0, "from": place}


def test_a_value_that_no_file_gives_is_a_default(tmp_path):
    _, shown, _ = settings(tmp_path, routes({"p1": refusing()}))
    assert shown["providers"]["p1"]["weight"] == {"value": 1.0, "from": "default"}


def test_a_value_from_the_environment_names_its_variable(tmp_path):
    _, shown, _ = settings(tmp_path, routes({"p1": refusing(weight="${SHARE}")}), {"SHARE": "3"})
    assert shown["providers"]["p1"]["weight"]["value"] == 3.0
    assert shown["providers"]["p1"]["weight"]["from"].endswith(" ${SHARE}")


def test_a_policys_value_names_the_policys_file(tmp_path):
    _, shown, _ = settings(tmp_path, routes({"p1": refusing()}), attempts=2)
    assert shown["policies"]["default"]["attempts"]["value"] == 2
    assert "policies/default.yaml:" in shown["policies"]["default"]["attempts"]["from"]


def test_a_providers_health_names_the_policy_that_it_is_checked_by(tmp_path):
    _, shown, _ = settings(tmp_path, routes({"p1": refusing()}), health={"interval": "7s"})
    health = shown["providers"]["p1"]["health"]
    assert health["interval"]["value"] == 7.0
    assert "policies/default.yaml:" in health["interval"]["from"]
    assert health["timeout"]["from"] == "default"


def test_a_route_is_found_by_its_place_in_the_list(tmp_path):
    file, shown, _ = settings(tmp_path, routes({"p1": refusing()}))
    assert shown["routes"][0]["name"]["value"] == "chat"
    assert shown["routes"][0]["name"]["from"].startswith(str(file))


def test_no_secret_is_shown_wherever_it_stands(tmp_path):
    provider = refusing(
        api_key="${KEY}", headers={"x-extra-key": CANARY}, models={"default": f"tuned-{CANARY}"}, auth="required"
    )
    server = {"client_keys": ["${KEY}"], "admin": {"listen": "127.0.0.1:0", "token": "${KEY}"}}
    _, shown, text = settings(tmp_path, routes({"p1": provider}, server=server), {"KEY": CANARY})
    assert CANARY not in text
    assert shown["providers"]["p1"]["api_key"]["value"] == "***"
    assert shown["providers"]["p1"]["headers"]["x-extra-key"]["value"] == "***"
    assert shown["server"]["client_keys"]["value"] == ["***"]


def test_a_secret_that_is_not_set_shows_that_it_is_not(tmp_path):
    _, shown, _ = settings(tmp_path, routes({"p1": refusing(api_key="${KEY:-}", auth="optional")}))
    assert shown["providers"]["p1"]["api_key"]["value"] is None
