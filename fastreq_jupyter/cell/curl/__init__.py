"""Commands for curl become requests."""
