"""What the monitor knows of the cluster, and the data that its panels show. No widget, no clock, no socket in here."""

from tui.monitor.model.model import Model

__all__ = ["Model"]
