"""The commands that look into models and change them: they parse, call and print."""
