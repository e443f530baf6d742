"""What the engines compute: arrays in, arrays out; no sockets, no clocks, no threads."""
