"""Who speaks: embeddings of voices."""
