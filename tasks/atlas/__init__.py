"""The atlas: a closed book of true facts that ships with the package."""
