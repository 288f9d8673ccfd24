"""Content: what a message says, from the template a person wrote to the parts that delivery composes."""
