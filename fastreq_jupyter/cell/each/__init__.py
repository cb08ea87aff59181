"""One request for each row of a table."""
