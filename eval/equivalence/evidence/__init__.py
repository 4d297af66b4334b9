"""What speaks for and against two answers saying the same, as plain facts about their text."""
