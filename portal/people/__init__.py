"""The pages on which people ask for access, and on which owners give it."""
