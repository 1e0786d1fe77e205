"""What a push does and what goes around it: reads, plans, sends, journals. No words for people, no flags."""
