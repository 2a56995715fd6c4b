"""Objects that are written before a ref names them, kept from a concurrent gc."""
