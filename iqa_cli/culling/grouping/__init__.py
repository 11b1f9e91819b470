"""Which scored photos belong together: bursts, duplicates, and series that are kept whole."""
