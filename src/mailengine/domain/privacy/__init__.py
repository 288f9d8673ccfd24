"""What a person may ask of whoever holds their data: to see it, to take it along, to be forgotten; and what a tenant
keeps for how long."""
