from faultserver.fixtures import faultserver

__all__ = ["faultserver"]
