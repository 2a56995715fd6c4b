"""Pure rules: no git, disk, clock, environment or printing."""
