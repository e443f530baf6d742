"""`halfsecond engines`: ONNX networks into TensorRT engines for this machine, or for others."""
