"""Sources of variants, behind one contract."""
