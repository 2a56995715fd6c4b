"""The only folder that knows git; it does not know what a plan is."""
