"""The field `image_uri`, at the place where Ray 2.60 has its plug-in."""

from ray._private.runtime_env.wrappers import ContainerPlugin, ImageUriPlugin

ImageURIPlugin = ImageUriPlugin

__all__ = ["ContainerPlugin", "ImageURIPlugin"]
