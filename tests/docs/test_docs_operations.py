"""What docs/operations.md tells to type works against a sidecar that runs the shipped files, token and all."""

import re

import pytest
from test_docs import BIN, ROOT, Block, blocks_of, run, started, write_files

from proxy.server.admin.listener import description

PAGE = ROOT / "docs" / "operations.md"
TYPED = [block for block in blocks_of(PAGE) if block.kind == "bash operate"]


@pytest.fixture
def nowhere(tmp_path):
    """Providers that are not there, and a state directory of one's own."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    url = "http://127.0.0.1:9/"
    return {
        "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path / "runtime"),
        "POLLINATIONS_TEXT_API": url,
        "POLLINATIONS_IMAGE_API": url,
        "no_proxy": "*",
    }


@pytest.mark.parametrize("block", TYPED, ids=[f"line {block.line}" for block in TYPED])
def test_what_an_operator_types_works(block: Block, nowhere, tmp_path):
    write_files(tmp_path, [])
    anywhere = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    command = [str(BIN / "sidestep"), "run", "--routes", str(tmp_path / "routes.yaml"), *anywhere]
    with started(command, r'"admin_address": ?"127.0.0.1:(\d+)"', nowhere) as (_, found):
        told = nowhere | {"SIDESTEP_ADMIN_URL": f"http://127.0.0.1:{found[1]}"}
        done = run(["bash", "-euc", block.text.replace("8081", found[1])], tmp_path, told)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.count("HTTP/1.1 200 OK") == block.text.count("curl ")


def test_every_call_of_the_api_is_in_the_table():
    written = set(re.findall(r"^\| `([A-Z]+ /admin/\S+)` \|", PAGE.read_text(), re.MULTILINE))
    served = {
        f"{method.upper()} {path}"
        for path, methods in description()["paths"].items()
        for method in methods
        if path.startswith("/admin/") and method != "parameters"
    }
    assert written == served
