"""A form made from the table of options."""
