"""Segments: rules over contacts, as JSON (`rules`), as text (`parse`, `show`), as SQL (`compile`)."""
