"""Language models into what the runtime's local answerer opens, compared with their weights."""
