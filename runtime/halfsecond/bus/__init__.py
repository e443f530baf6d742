"""ZeroMQ: sockets that are bounded, heartbeat-watched and safe by default."""
