"""Engines: where the jobs of a tournament run, on this host or on a dask cluster."""
