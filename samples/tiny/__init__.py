"""The parts of the tiny base model: its pictures, its words, its networks, its training."""
