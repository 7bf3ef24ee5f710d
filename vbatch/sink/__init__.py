"""Out: the journal, and the tables made of it."""
