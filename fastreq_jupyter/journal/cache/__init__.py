"""Answers of requests that only ask, kept for the next run."""
