"""Certificates for TLS peers, made afresh for each session: an authority, and servers' keys that it signs."""

import datetime
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """Signs server certificates; `ca_file` is what a client has to trust."""

    directory: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, directory: Path) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        certificate = _builder(name, name, key).add_extension(
            x509.BasicConstraints(True, None), critical=True
        )
        authority = cls(directory, key, certificate.sign(key, hashes.SHA256()))
        Path(authority.ca_file).write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
        return authority

    @property
    def ca_file(self) -> str:
        return str(self.directory / "ca.pem")

    def server_context(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """A server's context whose certificate is for these host names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = _builder(subject, self.certificate.subject, key, expired=expired)
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        signed = builder.add_extension(alternatives, critical=False).sign(self.key, hashes.SHA256())
        path = self.directory / f"server-{signed.serial_number}.pem"
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + _pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, expired: bool = False
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    until = now - datetime.timedelta(days=1) if expired else now + datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(until)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
