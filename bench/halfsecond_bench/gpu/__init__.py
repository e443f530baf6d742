"""Everything that a GPU could run, run there and on the CPU: `halfsecond bench gpu`."""
