"""A peer each, used as its own documentation shows: scripts, run by the Python of its venv."""
