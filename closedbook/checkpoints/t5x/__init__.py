"""T5X's own checkpoints: native, legacy, and the train state that both hold."""
