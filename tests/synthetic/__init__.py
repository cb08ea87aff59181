"""Runs that never were: events made by hand, on a clock of their own, for the feed and for pictures of it."""
