"""Certificates for tests and trials. Source: Ray's helper of this name; how they are used: `ray._core.wire.tls`."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

from ray._common.network_utils import get_localhost_ip
from ray._core.wire.tls import load_certs_from_env, uses_tls
from ray._private.services import get_node_ip_address

__all__ = ["add_port_to_grpc_server", "generate_self_signed_tls_certs", "load_certs_from_env"]


def generate_self_signed_tls_certs() -> tuple[str, str]:
    """Certificate and key (PEM) for this machine, good for a year; the certificate is its own authority.

    Raises:
        ImportError: the package `cryptography` is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        raise ImportError("Making certificates needs the package cryptography: pip install cryptography") from error
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ray-internal")])
    addresses = {"127.0.0.1", get_localhost_ip(), get_node_ip_address()}
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    for address in sorted(addresses):
        names += [x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName(address)]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


def add_port_to_grpc_server(server: Any, address: str) -> int:
    """Have a gRPC server listen on `address`, by TLS if RAY_USE_TLS is set. Returns the port.

    Raises:
        RuntimeError: TLS is wanted and a variable is not set.
    """
    import grpc

    if not uses_tls():
        port: int = server.add_insecure_port(address)
        return port
    certificate, key, authority = load_certs_from_env()
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
    port = server.add_secure_port(address, credentials)
    return port
