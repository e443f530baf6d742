"""Voices of the VITS family, cut into what stays on ONNX Runtime and what becomes an engine."""
