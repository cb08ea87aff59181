"""Outcomes become a DataFrame, and shapes of it; importing this folder alone loads no pandas."""
