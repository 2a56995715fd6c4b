"""Sessions: planners and workers whose clients run in terminals."""
