"""Exporting Whisper: source weights of any kind to what the runtime takes."""
