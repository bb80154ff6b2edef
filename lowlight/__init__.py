"""Brighten dark photos with a small encoder-decoder CNN.

    import lowlight
    network = lowlight.load()
    photo = lowlight.enhance(network, lowlight.load_photo("dark.jpg"))
    lowlight.save_photo("bright.jpg", photo)

Nothing is imported before it is used; `lowlight.cnn`, the module of CNN.ipynb, and
`lowlight.export` need Keras, the rest does not.
"""
from importlib import import_module

__version__ = "0.3.0"
HOMES = {"load": "network", "enhance": "photo", "set_brightness": "photo",
         "load_photo": "files", "save_photo": "files", "load_tags": "tags",
         "enhance_clip": "clips", "export_model": "export"}
__all__ = [name for name in HOMES if name != "export_model"]        # which needs Keras


def __getattr__(name):
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
