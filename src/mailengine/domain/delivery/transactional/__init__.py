"""Transactional mail: messages that are no campaign's, in a lane of their own, at least once.

A password reset, a confirmation, a notice: queued in the caller's transaction (`queue_message`), sent by the
worker processes on connections that no campaign uses. One that is in doubt is sent again, under the same
Message-ID. Bodies are emptied once a message was accepted; they may hold secrets, so no log ever shows them.
"""

from mailengine.domain.delivery.transactional.queue import OutgoingMessage, queue_message

__all__ = ["OutgoingMessage", "queue_message"]
