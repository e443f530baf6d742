"""TLS without a public authority: a CA of this kiosk's own, and certificates that it signs."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from halfsecond.errors import ConfigError
from halfsecond.gateway.tokens import WallClock

CA_DAYS = 3650
SERVER_DAYS = 397
"""Browsers refuse certificates that last longer (CA/Browser Forum's Baseline Requirements)."""
SOON_DAYS = 21
SKEW = dt.timedelta(hours=24)
"""Valid from yesterday on: a kiosk's clock may be behind until it has found a time server."""


class Validity(msgspec.Struct, frozen=True):
    """How long a certificate can still be used."""

    names: list[str]
    days_left: float
    is_not_yet: bool
    """Whether it becomes valid later: the clock of this machine is likely wrong."""


def make_certificate(directory: Path, names: Sequence[str], *, clock: WallClock) -> Path:
    """Signs a certificate for these names, with a CA that is made where there is none.

    Returns the certificate with its chain, `server.crt`; beside it lie `server.key` and `ca.crt`,
    which browsers must be told to trust. An existing `server.crt` is replaced, the CA is kept.

    Raises:
        ConfigError: no name, or a file that cannot be written or read.
    """
    if not names:
        raise ConfigError("give the names by which browsers reach this machine: --name kiosk.local")
    now = dt.datetime.fromtimestamp(clock(), dt.timezone.utc)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca_key, ca = _authority(directory, now)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _server_certificate(names, key.public_key(), ca, ca_key, now)
        _write(directory / "server.key", _private_pem(key), mode=0o600)
        chain = _pem(certificate) + _pem(ca)
        _write(directory / "server.crt", chain, mode=0o644)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no certificate could be made in {directory}: {error}") from error
    return directory / "server.crt"


def read_validity(path: Path, *, clock: WallClock) -> Validity:
    """What a certificate is good for; raises ConfigError when it cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no certificate (PEM): {error}") from error
    now = dt.datetime.fromtimestamp(clock(), dt.timezone.utc)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = [str(name.value) for name in extension.value]
    except x509.ExtensionNotFound:
        names = []
    left = certificate.not_valid_after_utc - now
    return Validity(
        names=names,
        days_left=left / dt.timedelta(days=1),
        is_not_yet=now < certificate.not_valid_before_utc,
    )


def _authority(
    directory: Path, now: dt.datetime
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_path, path = directory / "ca.key", directory / "ca.crt"
    if key_path.exists():
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key_path} is not a key that this command made")
        return key, x509.load_pem_x509_certificate(path.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "halfsecond local CA")])
    ca = (
        _builder(name, name, key.public_key(), key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _private_pem(key), mode=0o600)
    _write(path, _pem(ca), mode=0o644)
    return key, ca


def _server_certificate(
    names: Sequence[str],
    key: ec.EllipticCurvePublicKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        _builder(subject, ca.subject, key, ca_key.public_key(), now, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(server, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    days: int,
) -> x509.CertificateBuilder:
    """With the identifiers of both keys, which RFC 5280 asks for and Python 3.13 insists on."""
    own = x509.SubjectKeyIdentifier.from_public_key(key)
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now - SKEW + dt.timedelta(days=days))
        .add_extension(own, critical=False)
        .add_extension(issuers, critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Replaces a file at once; nobody ever sees half of it, or a key that others can read."""
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    scratch.replace(path)
