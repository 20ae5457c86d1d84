"""Self-signed certificates for development; their public home is `bustapi.werkzeug.serving`.

They need the `cryptography` package.
"""

from __future__ import annotations

import os
import typing as t

if t.TYPE_CHECKING:
    import ssl

_LIFETIME_DAYS = 365


def generate_adhoc_ssl_pair(cn: str | None = None) -> tuple[t.Any, t.Any]:
    """Make a certificate that nobody should trust, and its key.

    Args:
        cn: The name it is for; any if None.

    Returns:
        The certificate and the private key, as objects of `cryptography`.

    Raises:
        TypeError: `cryptography` is not installed.

    Compatible with: werkzeug.serving.generate_adhoc_ssl_pair (3.1)
    """
    from datetime import datetime, timedelta, timezone
    from importlib import import_module

    try:
        x509: t.Any = import_module("cryptography.x509")
        hashes: t.Any = import_module("cryptography.hazmat.primitives.hashes")
        rsa: t.Any = import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    except ImportError:
        raise TypeError("Using ad-hoc certificates requires the cryptography library.") from None
    oid = x509.oid
    name = "*" if cn is None else cn
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name(
        [
            x509.NameAttribute(oid.NameOID.ORGANIZATION_NAME, "Dummy Certificate"),
            x509.NameAttribute(oid.NameOID.COMMON_NAME, name),
        ]
    )
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
    )
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=_LIFETIME_DAYS))
    for extension in (
        x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName(f"*.{name}")]),
    ):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()), key


def make_ssl_devcert(base_path: str, host: str | None = None, cn: str | None = None) -> tuple[str, str]:
    """Write a certificate and its key to files, to be used again and again.

    Args:
        base_path: Path of the files without their endings, `.crt` and `.key`.
        host: The host it is for.
        cn: The name it is for, if no host is given.

    Returns:
        The files of the certificate and of the key.

    Raises:
        TypeError: `cryptography` is not installed.

    Compatible with: werkzeug.serving.make_ssl_devcert (3.1)
    """
    certificate, key = _encoded_pair(cn if host is None else host)
    paths = f"{base_path}.crt", f"{base_path}.key"
    with open(paths[0], "wb") as file:
        file.write(certificate)
    # The key is for its owner alone from the first byte on.
    descriptor = os.open(paths[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(key)
    return paths


def generate_adhoc_ssl_context() -> ssl.SSLContext:
    """Make a TLS context with a new self-signed certificate.

    Raises:
        TypeError: `cryptography` is not installed.

    Compatible with: werkzeug.serving.generate_adhoc_ssl_context (3.1)
    """
    from tempfile import NamedTemporaryFile

    # The ssl module reads certificates from files alone; it needs them only while it loads.
    with NamedTemporaryFile() as certificate_file, NamedTemporaryFile() as key_file:
        for file, content in zip((certificate_file, key_file), _encoded_pair(None)):
            file.write(content)
            file.flush()
        return load_ssl_context(certificate_file.name, key_file.name)


def load_ssl_context(
    cert_file: str, pkey_file: str | None = None, protocol: int | None = None
) -> ssl.SSLContext:
    """Make a TLS context of a certificate.

    Args:
        cert_file: The file of the certificate chain.
        pkey_file: The file of the key; the certificate's own if None.
        protocol: A `PROTOCOL_` constant of `ssl`; that of a TLS server if None.

    Compatible with: werkzeug.serving.load_ssl_context (3.1)
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if protocol is None else protocol)
    context.load_cert_chain(cert_file, pkey_file)
    return context


def is_ssl_error(error: BaseException | None = None) -> bool:
    """Tell whether an error came from TLS.

    Args:
        error: The error; the one being handled if None.
    """
    import ssl
    import sys

    return isinstance(sys.exc_info()[1] if error is None else error, ssl.SSLError)


def _encoded_pair(cn: str | None) -> tuple[bytes, bytes]:
    certificate, key = generate_adhoc_ssl_pair(cn)
    from importlib import import_module

    serialization: t.Any = import_module("cryptography.hazmat.primitives.serialization")
    pem = serialization.Encoding.PEM
    return certificate.public_bytes(pem), key.private_bytes(
        encoding=pem,
        format=serialization.PrivateFormat.TraditionalOpenSSL,
        encryption_algorithm=serialization.NoEncryption(),
    )
