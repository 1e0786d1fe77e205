"""One command per module: its flags, and what it says. No decisions, and nothing of another command."""
