"""Rewriting an ONNX graph so that TensorRT can read it: a file for each pass, tested alone.

A pass changes the model in place (the cut gives a new one) and says how many places it changed.
Those that change no number come first; INT8 and fp16, which do, come last.
"""
