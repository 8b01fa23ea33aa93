"""Certificates for an upstream over TLS: good, expired, for another name, or from an authority that nobody knows."""

import datetime as dt
import ssl
from pathlib import Path

import trustme


class Authority:
    """One certificate authority, made for a test. `bundle` is what a client must be told to trust."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.bundle = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.bundle))

    def good(self) -> ssl.SSLContext:
        """For 127.0.0.1."""
        return self._context(self._authority.issue_cert("127.0.0.1"))

    def expired(self) -> ssl.SSLContext:
        """For 127.0.0.1, until some years ago."""
        then = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        return self._context(self._authority.issue_cert("127.0.0.1", not_before=then, not_after=then.replace(month=2)))

    def wrong_name(self) -> ssl.SSLContext:
        """For somebody else."""
        return self._context(self._authority.issue_cert("elsewhere.example"))

    @staticmethod
    def unknown() -> ssl.SSLContext:
        """For 127.0.0.1, from an authority of its own that is told to nobody."""
        return Authority._context(trustme.CA().issue_cert("127.0.0.1"))

    @staticmethod
    def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context
