"""Rules of single gates: side effects and the canon lock."""
