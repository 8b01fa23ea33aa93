"""The command line: `python -m bench --help`."""

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from bench.bars import bars
from bench.ground import CouldNotMeasure, prepared
from bench.machine import describe, raise_descriptor_limit
from bench.performance import perform
from bench.plays import Play, repertoire
from bench.report import document, markdown
from bench.selfcheck import check

ABOUT = """\
Measure sidestep beside a bare aiohttp pass-through, and beside whichever other proxies are installed.

  make bench                                                    every play
  make bench ARGS="--only streams --rounds 5 --json bench/results/streams.json"
  make bench ARGS="--only plain --contestants sidestep"         the yardstick plays along
  make soak                                                     two million mixed requests: drift, leaks, lag

Needs Linux, two cores and a C compiler (Debian: apt-get install gcc libc6-dev). bench/others.py says how to install
others. Exits with 1 when something could not be measured or an answer of ours was wrong, never for being slow."""


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="bench", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="list the plays and end")
    parser.add_argument(
        "--only", default="", metavar="PLAYS", help="plays, by comma; `plain` is all that begin with it"
    )
    parser.add_argument("--contestants", default="", metavar="NAMES", help="who takes part, by comma; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="how often everybody has a turn (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a turn takes (4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds there, table and bars beside it")
    return parser.parse_args()


def chosen(plays: list[Play], wanted: str) -> list[Play]:
    """The plays that were asked for: by their names, or by what the names of several begin with."""
    found: set[str] = set()
    for word in names(wanted):
        meant = {play.name for play in plays if play.name == word} or {
            play.name for play in plays if play.name.startswith(word)
        }
        if not meant:
            raise SystemExit(f"there is no play {word}; --list names them")
        found |= meant
    return [play for play in plays if not found or play.name in found]


def names(text: str) -> set[str]:
    """What stands between the commas."""
    return {name.strip() for name in text.split(",") if name.strip()}


def main() -> int:
    """Measure and tell."""
    wanted = arguments()
    plays = chosen(repertoire(wanted.seconds), wanted.only)
    if wanted.list:
        for play in plays:
            print(f"{play.name:10} {play.question}")
        return 0
    end_on_termination()
    raise_descriptor_limit()
    machine = describe()
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, prepared(Path(folder)) as ground:
        os.sched_setaffinity(0, ground.cores.load)
        check(ground)
        results = [perform(play, ground, wanted.rounds, names(wanted.contestants), say) for play in plays]
    told = document(results, machine, shlex.join(["python", "-m", "bench", *sys.argv[1:]]), at)
    print(markdown(told))
    if wanted.json:
        wanted.json.parent.mkdir(parents=True, exist_ok=True)
        wanted.json.write_text(json.dumps(told, indent=2) + "\n")
        wanted.json.with_suffix(".md").write_text(markdown(told))
        wanted.json.with_suffix(".svg").write_text(bars(told))
    return 1 if told["troubles"] else 0


def end_on_termination() -> None:
    """Let SIGTERM leave through the same door as Ctrl-C, so that nobody whom we started stays behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(text, file=sys.stderr, flush=True)


def program(main: Callable[[], int]) -> NoReturn:
    """Run it to its end, and end with its status: 1 with a word about what could not be measured, 130 after Ctrl-C."""
    try:
        sys.exit(main())
    except CouldNotMeasure as trouble:
        raise SystemExit(str(trouble)) from None
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    program(main)
