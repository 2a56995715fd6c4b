"""Collecting variants: watch a source until they are ready, archive and commit them."""
