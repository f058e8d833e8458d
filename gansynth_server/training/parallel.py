"""Several devices, one process each, as ``torchrun`` starts them."""

from __future__ import annotations

import os

import torch
from torch import distributed


def join(device: torch.device) -> torch.device:
    """Join the processes that torchrun started, if it did; return this one's device."""
    if "WORLD_SIZE" not in os.environ:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank() -> int:
    """Return the number of this process among those that train together, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """Return the number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def average_gradients(optimiser: torch.optim.Optimizer) -> None:
    """Give every process the mean gradients of all, so that their weights stay equal."""
    if world() == 1:
        return
    gradients = [
        p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None
    ]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= world()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def agree(seconds: float) -> float:
    """Return the first process's clock (s), so that all end a stage at the same step."""
    if world() == 1:
        return seconds
    shared = torch.tensor([seconds], dtype=torch.float64)
    if distributed.get_backend() == "nccl":
        shared = shared.cuda()
    distributed.broadcast(shared, 0)
    return float(shared)
