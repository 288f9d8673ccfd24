"""The sections of the dashboard, a file each, and the screens that open from them."""
