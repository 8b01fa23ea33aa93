"""`sidestep providers enable|disable|check NAME`: who may be asked, by hand, and who is well."""

import argparse

from proxy.cli.client import add_arguments, clean, tell
from proxy.server.admin.client import Document, segment


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser(
        "providers",
        help="enable, disable or check a provider",
        description="Take a provider out of traffic, let it back in, or ask it whether it is well. What is done by "
        "hand holds until it is taken back or the sidecar ends, reloads included.",
    )
    parser.add_argument("action", choices=("enable", "disable", "check"))
    parser.add_argument("name", metavar="NAME")
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0, or 1 when there is no answer."""
    path = f"/admin/providers/{segment(arguments.name)}/{arguments.action}"
    return tell(arguments, "POST", path, show_checks if arguments.action == "check" else show)


def show(provider: Document) -> None:
    """Print what holds now."""
    state = "enabled" if provider["enabled"] else "disabled"
    configured = "enabled" if provider["configured_enabled"] else "disabled"
    print(f"{provider['provider']}: {state}" + (f" (configured: {configured})" if provider["overridden"] else ""))


def show_checks(provider: Document) -> None:
    """Print one line per endpoint."""
    for each in provider["checks"]:
        error = f": {clean(each['error'])}" if each["error"] else ""
        print(f"{provider['provider']}: {each['finding']}, {each['health']}, {each['seconds']:.3f} s{error}")
