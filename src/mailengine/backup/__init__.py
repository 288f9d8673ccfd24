"""Backups of a whole installation in one file, their way back, and the move to another database."""
