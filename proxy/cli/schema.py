"""`sidestep schema`: print the JSON Schema that editors use through the `# yaml-language-server:` line."""

import argparse
import sys

from proxy.config.shape import SCHEMAS, schema_text


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the program's parser."""
    parser = subparsers.add_parser("schema", help="print the JSON Schema of routes.yaml or of a policy, for editors")
    parser.add_argument("name", choices=SCHEMAS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema on stdout."""
    sys.stdout.write(schema_text(arguments.name))
    return 0
