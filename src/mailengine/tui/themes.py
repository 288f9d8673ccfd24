"""Light and dark, in the colours of the web UI."""

from textual.theme import Theme

DARK = Theme(
    name="mailengine-dark",
    primary="#3B82F6",
    secondary="#8B5CF6",
    accent="#8B5CF6",
    foreground="#F1F5F9",
    background="#0F172A",
    surface="#1E293B",
    panel="#293548",
    success="#10B981",
    warning="#F59E0B",
    error="#F87171",
    dark=True,
    variables={"footer-key-foreground": "#93C5FD"},
)
LIGHT = Theme(
    name="mailengine-light",
    primary="#1D4ED8",
    secondary="#6D28D9",
    accent="#6D28D9",
    foreground="#0F172A",
    background="#F8FAFC",
    surface="#FFFFFF",
    panel="#E2E8F0",
    success="#047857",
    warning="#B45309",
    error="#B91C1C",
    dark=False,
    variables={"footer-key-foreground": "#1D4ED8"},
)
