"""Plans: find, read, list and write them."""
