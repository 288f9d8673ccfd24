"""Long work with progress: imports, exports, the expansion of campaigns (P75-05)."""
