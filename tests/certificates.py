"""Certificate authorities of the tests, and what they sign."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


class Authority:
    """Signs certificates and writes them into `directory`."""

    def __init__(self, directory, name="tests"):
        self.directory, self.name = directory, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {name}")])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self.path = directory / f"{name}-ca.pem"
        self.path.write_bytes(self._sign(self._subject, self._key, basic).public_bytes(PEM))

    def _sign(self, subject, key, *extensions, days=1):
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(now + datetime.timedelta(days=days))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def variables(self, *hosts, days=1, trusting=None):
        """RAY_USE_TLS and its kin for a process with a new certificate that names `hosts`.

        Args:
            days: until it expires; negative: it has.
            trusting: the authority whose peers it trusts; None: this one.
        """
        hosts = hosts or ("127.0.0.1", "localhost")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        certificate = self._sign(
            subject, key, x509.SubjectAlternativeName([_general_name(host) for host in hosts]), days=days
        )
        stem = f"{self.name}-{certificate.serial_number:x}"
        cert_path, key_path = self.directory / f"{stem}.pem", self.directory / f"{stem}-key.pem"
        cert_path.write_bytes(certificate.public_bytes(PEM))
        key_path.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return {
            "RAY_USE_TLS": "1",
            "RAY_TLS_SERVER_CERT": str(cert_path),
            "RAY_TLS_SERVER_KEY": str(key_path),
            "RAY_TLS_CA_CERT": str((trusting or self).path),
        }


def _general_name(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
