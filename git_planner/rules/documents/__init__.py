"""Documents: read JSON and Markdown from untrusted text, write them canonically, merge their values."""
