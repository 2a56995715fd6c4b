"""Outputs of the steps of a policy: made, kept by digest, and laid into the measured folder."""
