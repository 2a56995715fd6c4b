"""Reports and result files that a measured command leaves."""
