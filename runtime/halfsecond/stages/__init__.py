"""When things happen: queues, turns, interruption. What is computed is in `halfsecond.models`."""
