"""Cell text becomes requests; knows no IPython."""
