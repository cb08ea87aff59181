"""Placeholders get their values."""
