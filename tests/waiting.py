"""What runs within `Waiting()` must never make the host wait for a device: checked without one."""

from torch.utils._python_dispatch import TorchDispatchMode


class Waiting(TorchDispatchMode):
    """Refuses the operations for which the host would have to wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        waits = ("_local_scalar_dense", "nonzero", "bincount", "unique", "masked_select", "is_nonzero", "equal")
        assert func.overloadpacket.__name__ not in waits, func
        return func(*args, **(kwargs or {}))
