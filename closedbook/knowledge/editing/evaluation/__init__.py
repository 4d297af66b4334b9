"""How well edits hold: free answers first, the papers' teacher-forced measures beside them."""
