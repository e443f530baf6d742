"""The latency harness, its reports and every plot."""
