"""Decisions without await, clock or randomness of their own."""
