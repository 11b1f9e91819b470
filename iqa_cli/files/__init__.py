"""Files of the user's: written whole or not at all, locked, added to, and never one that would be missed."""
