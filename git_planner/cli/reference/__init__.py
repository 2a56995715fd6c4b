"""Writers of the reference pages and the manual: used at build time only, and not part of the wheel."""
