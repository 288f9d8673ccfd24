"""A small authoritative DNS server on loopback (UDP and TCP, RFC 1035) that answers from a dict.

A name that is absent is NXDOMAIN, one without that type an empty answer; names in `servfail` fail, names in
`silent` are never answered (a resolver times out). CNAMEs are followed within the zone. An answer that does not
fit is truncated over UDP.
"""

import contextlib
import socketserver
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset

from peers.ports import LOOPBACK

Zone = Mapping[str, Sequence[tuple[str, str]]]
TTL_SECONDS = 60
PORT_ATTEMPTS = 10


class DnsZone:
    """`DnsZone({"example.org": [("TXT", '"v=spf1 -all"')]})`; `records` may be changed while it serves."""

    def __init__(self, records: Zone | None = None) -> None:
        self.records: dict[str, list[tuple[str, str]]] = {
            name: list(rows) for name, rows in (records or {}).items()
        }
        self.servfail: set[str] = set()
        self.silent: set[str] = set()
        self.ttl_seconds = TTL_SECONDS
        self.asked: list[tuple[str, str]] = []  # name and type of every question, in order
        self.host = LOOPBACK
        self._servers = self._bind()
        self.port = int(self._servers[0].server_address[1])
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def _bind(self) -> "tuple[_Udp, _Tcp]":
        """UDP and TCP on the same port number, as a resolver expects."""
        for _ in range(PORT_ATTEMPTS):
            udp = _Udp((LOOPBACK, 0), _UdpQuery)
            with contextlib.suppress(OSError):
                tcp = _Tcp(udp.server_address, _TcpQuery)
                udp.zone = tcp.zone = self
                return udp, tcp
            udp.server_close()
        raise RuntimeError("no port that is free for both UDP and TCP")

    def resolver(self, seconds: float = 2) -> dns.resolver.Resolver:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [self.host], self.port, seconds
        return resolver

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def respond(self, wire: bytes, limit: int = 65535) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append((name, dns.rdatatype.to_text(question.rdtype)))
        if name in self.silent:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        answer.set_rcode(self._fill(answer, question.name, name, question.rdtype))
        try:
            return answer.to_wire(max_size=min(limit, max(query.payload, 512)) if limit < 65535 else limit)
        except dns.exception.TooBig:
            truncated = dns.message.make_response(query)
            truncated.flags |= dns.flags.TC
            return truncated.to_wire()

    def _fill(
        self, answer: dns.message.Message, owner: dns.name.Name, name: str, rdtype: Any
    ) -> dns.rcode.Rcode:
        if name in self.servfail:
            return dns.rcode.SERVFAIL
        if name not in self.records:
            below = any(other.endswith(f".{name}") for other in self.records)
            return dns.rcode.NOERROR if below else dns.rcode.NXDOMAIN
        kind = dns.rdatatype.to_text(rdtype)
        values = [text for found, text in self.records[name] if found == kind]
        if values:
            answer.answer.append(_rows(owner, self.ttl_seconds, kind, values))
        aliases = [] if values else [text for found, text in self.records[name] if found == "CNAME"]
        if aliases:  # RFC 1034 4.3.2, step 3a
            answer.answer.append(_rows(owner, self.ttl_seconds, "CNAME", aliases))
            target = dns.name.from_text(aliases[0])
            return self._fill(answer, target, target.to_text(omit_final_dot=True).lower(), rdtype)
        return dns.rcode.NOERROR


def _rows(owner: dns.name.Name, ttl_seconds: int, kind: str, values: list[str]) -> dns.rrset.RRset:
    return dns.rrset.from_text(owner, ttl_seconds, dns.rdataclass.IN, kind, *values)


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    zone: DnsZone


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    zone: DnsZone


class _UdpQuery(socketserver.BaseRequestHandler):
    server: _Udp

    def handle(self) -> None:
        wire, reply_socket = self.request
        answer = self.server.zone.respond(wire, limit=1232)
        if answer is not None:
            reply_socket.sendto(answer, self.client_address)


class _TcpQuery(socketserver.StreamRequestHandler):
    """RFC 1035 section 4.2.2: two octets of length before each message."""

    server: _Tcp

    def handle(self) -> None:
        while len(length := self.rfile.read(2)) == 2:
            answer = self.server.zone.respond(self.rfile.read(int.from_bytes(length, "big")))
            if answer is None:
                return
            self.wfile.write(len(answer).to_bytes(2, "big") + answer)
