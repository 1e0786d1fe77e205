"""One command per module: its flags, and what it prints. No decisions, and no use of another command."""
