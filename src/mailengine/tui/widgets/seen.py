"""Whether a person sees a screen. Textual's `is_current` is also true of the one below a screen that covers it: that
would go on asking, and each of its answers would draw the screen above anew from its first cell to its last.
"""

from itertools import takewhile
from typing import Any

from textual.screen import Screen


def is_seen(screen: Screen[Any]) -> bool:
    """Nothing is above it but dialogs."""
    stack = screen.app.screen_stack
    above = takewhile(lambda each: each is not screen, reversed(stack))
    return screen in stack and all(each.is_modal for each in above)
