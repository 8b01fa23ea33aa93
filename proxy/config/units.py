"""How quantities are written: `250ms`, `25MiB`, `20/min`, `50%`, `127.0.0.1:8080`; the only place that knows.

Every reader takes a scalar as YAML gave it and returns seconds, bytes, a `Rate`, a share of 1 or an `Address`. It
raises ValueError with the end of a sentence that begins with the value ("... is not a duration: ..."), and never
repeats the value, which may have come from the environment.
"""

import ipaddress
import math
import re
from collections.abc import Mapping

from proxy.config.snapshot import Address, Rate

SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
BYTES: Mapping[str, int] = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
PERIODS: Mapping[str, float] = {"s": 1.0, "min": 60.0, "h": 3600.0}

_QUANTITY = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([A-Za-z]*)", re.ASCII)
_RATE = re.compile(r"([0-9]{1,9})/([a-z]+)", re.ASCII)
_SHARE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(%?)", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


def duration(value: object) -> float:
    """Read `250ms`, `1.5s`, `10m` or `1h` as seconds; a bare 0 needs no unit."""
    return _quantity(value, SECONDS, "a duration", "250ms, 15s, 10m or 1h")


def size(value: object) -> int:
    """Read `512B`, `64KiB`, `25MiB` or `1GiB` as bytes; a bare 0 needs no unit."""
    return int(_quantity(value, BYTES, "a size", "64KiB or 25MiB"))


def rate(value: object) -> Rate:
    """Read `20/min`, `5/s` or `1000/h`: that many in any period of that length."""
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None or found.group(2) not in PERIODS:
        raise ValueError("is not a rate: write a whole number per s, min or h, such as 20/min")
    if int(found.group(1)) == 0:
        raise ValueError("allows nothing: a rate is at least 1; to stop a provider, set `enabled: false`")
    return Rate(int(found.group(1)), PERIODS[found.group(2)])


def ratio(value: object) -> float:
    """Read `50%` or `0.5` as a share of 1."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    found = _SHARE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("is not a share: write 50% or 0.5")
    return float(found.group(1)) / (100 if found.group(2) else 1)


def address(value: object) -> Address:
    """Read `127.0.0.1:8080`, `localhost:8080` or `[::1]:8080`. Port 0 asks the system for a free one."""
    text = value if isinstance(value, str) else ""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host, good = host[1:-1], _is_ip(host[1:-1], 6)
    else:
        good = _HOST.fullmatch(host) is not None and (not host[-1].isdigit() or _is_ip(host, 4))
    if not (good and _PORT.fullmatch(port) and int(port) <= 65535):
        raise ValueError("is not an address: write host:port, such as 127.0.0.1:8080 or [::1]:8080")
    return Address(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether this host can only be this machine. A name other than `localhost` cannot be known to be."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _quantity(value: object, units: Mapping[str, float], what: str, examples: str) -> float:
    if value == 0 and not isinstance(value, bool):
        return 0.0
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    found = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"is not {what}: write {examples}")
    number, unit = float(found.group(1)), found.group(2)
    if unit in units:
        return _rounded(number * units[unit])
    if not unit and number == 0:
        return 0.0
    wrong = "has a unit that is not known" if unit else "has no unit"
    raise ValueError(f"{wrong}: write {examples}")


def _rounded(number: float) -> float:
    """`0.1 * 3`-like dust off the last digits, so that 1.1ms is 0.0011 and nothing else."""
    return round(number, 9) if math.isfinite(number) else number
