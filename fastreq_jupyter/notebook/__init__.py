"""All that knows it is in a notebook; imported only by the extension."""
