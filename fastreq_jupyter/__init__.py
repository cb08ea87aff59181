"""Send many HTTP requests from a notebook cell and get a pandas DataFrame."""
