"""Talks to a service over HTTP: submit, wait, steer, fetch; every answer is typed."""

from ncmix.client.client import Client
from ncmix.client.errors import ApiError, MissingError, UnreachableError
from ncmix.client.experiments import Experiment, Reason
from ncmix.client.following import FINAL, Message
from ncmix.client.frames import MissingPandasError
from ncmix.client.plots import Plot
from ncmix.client.sweeps import Sweep

__all__ = [
    "FINAL",
    "ApiError",
    "Client",
    "Experiment",
    "Message",
    "MissingError",
    "MissingPandasError",
    "Plot",
    "Reason",
    "Sweep",
    "UnreachableError",
]
