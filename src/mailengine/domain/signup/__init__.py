"""How people put themselves on lists: public forms, confirmation by a link, and the preference centre."""
