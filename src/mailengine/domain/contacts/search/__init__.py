"""Finding contacts by a part of what is written about them, a million of them as quickly as a hundred."""
