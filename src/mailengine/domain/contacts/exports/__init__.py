"""Contacts as files: who (`chosen`), how a row reads (`formats`), and the work, a page at a time (`run`)."""
