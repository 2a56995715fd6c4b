"""Documents: parse JSON and Markdown from untrusted text, write canonical JSON, merge values."""
