"""A Django project as djangosaml2's documentation has it, to compare with; it verifies by the `xmlsec1` program."""
