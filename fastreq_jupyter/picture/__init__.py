"""A run as a waterfall, without a browser."""
