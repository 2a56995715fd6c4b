"""Reviews for people: directives, plans, specs and guard proposals as Markdown."""
