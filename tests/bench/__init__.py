"""Figures: what the commands and hooks cost, in interleaved runs beside peers. Run by `make bench`."""
