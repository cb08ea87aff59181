"""All awaiting: attempts, limits, the run."""
