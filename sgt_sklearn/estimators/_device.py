"""A device that may be left to the library."""

import torch

from sgt_sklearn.estimators._parameters import is_auto


class DeviceMixin:
    """Lets the parameter `device` of a skorch net be "auto"."""

    _device_ = None

    @property
    def device(self):
        """Device in use: "auto" reads as the device found at initialisation."""
        device = self.__dict__["device"]
        return self._device_ if is_auto(device) and self._device_ else device

    @device.setter
    def device(self, device):
        self.__dict__["device"] = device

    def _settle_device(self):
        if is_auto(self.__dict__["device"]):
            self._device_ = available_device()

    def _may_use_cuda(self):
        device = available_device() if is_auto(self.device) else self.device
        # None leaves the module wherever it is
        return device is None or str(device).startswith("cuda")

    def get_params(self, deep=True, **kwargs):
        """Get the parameters, "auto" as "auto".

        Parameters
        ----------
        deep : bool, default=True
            Include the parameters of nested objects.
        **kwargs
            Passed on to skorch.

        Returns
        -------
        dict
            Values by name.
        """
        params = super().get_params(deep=deep, **kwargs)
        params["device"] = self.__dict__["device"]
        return params

    def __setstate__(self, state):
        device = state["device"]
        if is_auto(device):
            # skorch maps what it loads to a device that it must know
            found = available_device()
            state = {**state, "device": found, "_device_": found}
        super().__setstate__(state)
        self.device = device


def available_device():
    """Name of the best device here: cuda, else mps, else cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
