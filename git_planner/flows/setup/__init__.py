"""Setup: init, doctor, demo, man pages."""
