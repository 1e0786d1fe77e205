"""What each command does, without click and without printing."""
