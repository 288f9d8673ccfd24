"""Figures that people read; counted, never stored."""
