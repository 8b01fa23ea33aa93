"""`sidestep check` and `sidestep schema`, called as the command line calls them."""

import argparse
import json
import shutil
from pathlib import Path

import pytest

from proxy.cli import check, schema

ROOT = Path(__file__).resolve().parents[2]


def run(*words):
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    check.add_parser(subparsers)
    schema.add_parser(subparsers)
    arguments = parser.parse_args([str(word) for word in words])
    return arguments.run(arguments)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A copy of the shipped files, as the working directory."""
    shutil.copy(ROOT / "routes.yaml", tmp_path)
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    return tmp_path


def test_a_good_configuration_is_told_in_one_line(shipped, capsys):
    assert run("check") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("routes.yaml: good, 2 providers, 2 routes, 6 policies, generation ")
    assert out.endswith(" (no key, so no traffic: openrouter)\n")
    assert out.count("\n") == 1


def test_a_key_takes_the_hint_away(shipped, capsys, monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-canary")
    assert run("check") == 0
    out = capsys.readouterr().out
    assert "no key" not in out
    assert "canary" not in out


def test_problems_are_told_by_file_line_and_column_on_stderr(shipped, capsys):
    with Path("routes.yaml").open("a") as stream:
        stream.write("servr: {}\n")
    Path("policies/default.yaml").write_text("version: 1\nattempts: many\n")
    lines = len(Path("routes.yaml").read_text().splitlines())
    assert run("check") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "policies/default.yaml:2:11: 'many' is not a whole number\n"
        f"routes.yaml:{lines}:1: unknown key 'servr'; did you mean 'server'?\n"
    )


def test_a_file_that_cannot_be_read_has_its_own_exit_status(tmp_path, capsys):
    assert run("check", "--routes", tmp_path / "nowhere.yaml") == 2
    assert "nowhere.yaml:0:0: no such file" in capsys.readouterr().err


def test_the_files_can_be_anywhere(shipped, capsys, monkeypatch):
    monkeypatch.chdir("/")
    assert run("check", "--routes", shipped / "routes.yaml", "--policies", shipped / "policies") == 0
    assert "good" in capsys.readouterr().out


def test_bytes_that_are_no_text_are_told_like_any_other_problem(shipped, capsys):
    Path("routes.yaml").write_bytes(bytes(range(256)))
    assert run("check") == 1
    assert capsys.readouterr().err.startswith("routes.yaml:")


@pytest.mark.parametrize("name", ["routes", "policy"])
def test_a_schema_is_printed_whole(name, capsys):
    assert run("schema", name) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_an_unknown_schema_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        run("schema", "nonsense")
    assert caught.value.code == 2
