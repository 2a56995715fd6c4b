"""The winner of a tournament: what it is made of, and how it is shipped. Pure."""
