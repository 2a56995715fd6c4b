"""The machine we run on: process identity."""
