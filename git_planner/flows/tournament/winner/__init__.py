"""The winner of a tournament: chosen, composed, shipped and applied."""
