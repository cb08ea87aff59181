"""One file per HTTP library, behind one narrow door (base)."""
