"""Records: measured results of commits, their rows and comparisons."""
