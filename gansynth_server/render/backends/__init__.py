"""What runs a network: plain PyTorch, compiled, OpenVINO, CUDA graphs."""
