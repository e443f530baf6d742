"""The face's own voice in its microphone: simulated rooms, and what is left of it."""
