"""SMTP as a client: one session per connection, one message on the wire at a time, pipelined.

aiosmtplib connects, negotiates EHLO, STARTTLS and AUTH; then the session takes over its transport and
runs the mail transactions itself (RFC 5321, pipelined by RFC 2920), because that path has to cost
microseconds. Invariants, whatever the peer or the caller does:

* every envelope that `Source.next()` gave ends in exactly one of `accepted`, `refused`, `unsent`, `doubtful`;
* at most one envelope per session is between `on_wire` and its final reply;
* an envelope whose end of data was not handed to the transport is never `accepted` and never `doubtful`.

CHUNKING (RFC 3030) is not used: every server that offers it takes DATA, which allows the end of one
message and the envelope of the next to share a packet.
"""

from mailengine.domain.delivery.smtp.connect import open_session
from mailengine.domain.delivery.smtp.endpoint import Capabilities, Endpoint, TlsMode
from mailengine.domain.delivery.smtp.envelope import Envelope, Source, Stage
from mailengine.domain.delivery.smtp.errors import ConnectFailed, ConnectStage, Ending, EndReason
from mailengine.domain.delivery.smtp.probe import ProbeReport, ProbeStep, probe
from mailengine.domain.delivery.smtp.session import Session

__all__ = [
    "Capabilities",
    "ConnectFailed",
    "ConnectStage",
    "EndReason",
    "Ending",
    "Endpoint",
    "Envelope",
    "ProbeReport",
    "ProbeStep",
    "Session",
    "Source",
    "Stage",
    "TlsMode",
    "open_session",
    "probe",
]
