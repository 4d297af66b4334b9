"""What is said where a command ends by an error, and what is not."""
