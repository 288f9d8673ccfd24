"""Which right an operation of the API needs where it is not reading or editing, as its route says it.

`FRESH` binds people, whose session may lie open on a table: their password must have been shown a moment ago. A key
is shown with every request.
"""

from typing import Any

from mailengine.core.scope import Grant
from mailengine.web.session import FRESH, NEEDS

READ: dict[str, Any] = {
    "opt": {NEEDS: Grant.READ}
}  # of an operation that posts, but changes nothing of theirs
SEND: dict[str, Any] = {"opt": {NEEDS: Grant.SEND}}
SEND_AND_FRESH: dict[str, Any] = {"opt": {NEEDS: Grant.SEND, FRESH: True}}
MANAGE: dict[str, Any] = {"opt": {NEEDS: Grant.MANAGE}}
MANAGE_AND_FRESH: dict[str, Any] = {"opt": {NEEDS: Grant.MANAGE, FRESH: True}}
