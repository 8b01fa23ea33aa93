"""The files in, one `Snapshot` out, or every problem with file, line and column.

`load` is `read`, which touches the disk, and `parse`, which does not, but for a look at the TLS files that are named.

    bytes -> text (strict YAML) -> environment (references) -> shape (schema, units) -> build (settings) -> rules

A step's problems are collected over all files; `rules` compares the files with one another, and so runs only once
each of them is well-formed.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from proxy.config import build, effective, environment, rules, shape, text
from proxy.config.snapshot import Policy, Snapshot
from proxy.config.text import Document
from proxy.errors import ConfigError, Problem

POLICY_SUFFIXES = (".yaml", ".yml")

Texts = Mapping[Path, bytes]
"""File -> its bytes; the routes file is the first."""


def load(routes_file: Path, policies_dir: Path | None, variables: Mapping[str, str]) -> Snapshot:
    """Read and check the whole configuration.

    `policies_dir` None means `policies/` beside the routes file, which may be missing: then only the built-in policy
    `default` exists. `variables` is the environment. Raises ConfigError with all problems, sorted; its `unreadable`
    says that a file could not be read at all.
    """
    return parse(read(routes_file, policies_dir), variables)


def read(routes_file: Path, policies_dir: Path | None) -> Texts:
    """Read the files as they are. Raises ConfigError, always `unreadable`."""
    sources = _Sources()
    sources.read(routes_file, "no such file: write one (docs/configuration.md) or say where it is with --routes FILE")
    names: dict[str, Path] = {}
    for file in _policy_files(routes_file, policies_dir, sources):
        if file.stem in names:
            sources.refuse(file, f"{names[file.stem].name} defines the policy {file.stem!r} already")
        names[file.stem] = file
        sources.read(file, "no such file")
    if sources.problems:
        raise ConfigError(tuple(sorted(sources.problems)), unreadable=True)
    return sources.texts


def parse(texts: Texts, variables: Mapping[str, str]) -> Snapshot:
    """Check and build what was read. Raises ConfigError."""
    problems: list[Problem] = []
    routes, *policies = [
        _read(file, data, "policy" if index else "routes", variables, problems)
        for index, (file, data) in enumerate(texts.items())
    ]
    if not problems:
        named = _policies(policies)
        documents = {Path(policy.document.file).stem: policy.document for policy in policies}
        snapshot = Snapshot(
            generation=generation(texts),
            server=build.server(routes.data),
            telemetry=build.telemetry(routes.data),
            providers=build.providers(routes.data, named, next(iter(texts)).parent),
            routes=build.routes(routes.data),
            policies=named,
            files=tuple(str(file) for file in texts),
            written=effective.origins(routes.document, documents),
        )
        problems.extend(rules.check(rules.Draft(snapshot, routes.document, documents)))
        problems.extend(_tls_files(snapshot, routes.document))
    if problems:
        raise ConfigError(tuple(sorted(set(problems))))
    return snapshot


def generation(texts: Texts) -> str:
    """12 hex digits that name this text: SHA-256 over the files' names and bytes, never over resolved values."""
    digest = hashlib.sha256()
    for file, data in sorted(texts.items()):
        digest.update(b"%s\0%d\0" % (file.name.encode("utf-8", "surrogateescape"), len(data)))
        digest.update(data)
    return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _File:
    """One file that parsed: where everything stands, and what it says."""

    document: Document
    data: Any


class _Sources:
    """The bytes of every file, in order, and what stood in the way of reading them."""

    def __init__(self) -> None:
        self.texts: dict[Path, bytes] = {}
        self.problems: list[Problem] = []

    def read(self, file: Path, when_missing: str) -> None:
        """Read one file; no more of it than shows that it is too large."""
        try:
            with file.open("rb") as stream:
                self.texts[file] = stream.read(text.MAX_BYTES + 1)
        except FileNotFoundError:
            self.refuse(file, when_missing)
        except (OSError, ValueError) as error:
            self.refuse(file, f"cannot be read: {getattr(error, 'strerror', None) or 'not a file name'}")

    def refuse(self, file: Path, message: str) -> None:
        self.problems.append(Problem(str(file), 0, 0, message))


def _policy_files(routes_file: Path, policies_dir: Path | None, sources: _Sources) -> list[Path]:
    folder = policies_dir if policies_dir is not None else routes_file.parent / "policies"
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in POLICY_SUFFIXES and file.name[0] != ".")
    except FileNotFoundError:
        if policies_dir is not None:
            sources.refuse(folder, "no such folder")
        return []
    except (OSError, ValueError) as error:
        sources.refuse(folder, f"cannot be read: {getattr(error, 'strerror', None) or 'not a folder name'}")
        return []
    return files


def _read(file: Path, data: bytes, schema: str, variables: Mapping[str, str], problems: list[Problem]) -> _File:
    """Take one file through the steps that need no other file."""
    document, found = text.parse(str(file), data)
    problems.extend(found)
    document, found = environment.resolve(document, variables)
    problems.extend(found)
    read, found = shape.read(document, schema)
    problems.extend(found)
    return _File(document, read)


def _tls_files(snapshot: Snapshot, document: Document) -> Iterator[Problem]:
    """TLS files are looked at now, because a provider that cannot be dialled is found out too late."""
    for provider in snapshot.providers.values():
        for key in ("ca_file", "cert_file", "key_file"):
            name = getattr(provider.tls, key)
            try:
                if name is not None:
                    Path(name).open("rb").close()
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not a file name"
                yield document.problem(("providers", provider.name, "tls", key), f"{key} cannot be read: {reason}")


def _policies(files: list[_File]) -> Mapping[str, Policy]:
    """The policies by name; `default` is built in unless a file says otherwise."""
    named = {build.DEFAULT_POLICY: Policy(name=build.DEFAULT_POLICY)}
    for file in files:
        name = Path(file.document.file).stem
        named[name] = build.policy(name, file.data)
    return MappingProxyType(named)
