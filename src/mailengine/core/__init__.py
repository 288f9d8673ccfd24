"""The floor of the house: no mail, no database, no framework."""
