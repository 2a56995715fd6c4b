"""Rules of importing an older session planner's board."""
