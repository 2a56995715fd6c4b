"""Gates of variants and of changes that are to ship."""
