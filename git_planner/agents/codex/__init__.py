"""The codex CLI as planner, implementer, researcher and critic."""
