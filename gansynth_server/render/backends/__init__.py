"""Backends that run a network: plain PyTorch, compiled, OpenVINO, CUDA graphs."""
