"""FuxiCTR's model classes from a checkout of its repository, for the scripts beside this file.

The package on PyPI has no model classes; they are in the folder model_zoo of the repository.
"""
import importlib.util
import pathlib
import sys


def use_checkout(checkout):
    """Makes `import fuxictr` mean that of the checkout."""
    folder = pathlib.Path(checkout).resolve()
    if not (folder / "model_zoo").is_dir() or not (folder / "fuxictr").is_dir():
        sys.exit(f"{checkout}: is no checkout of FuxiCTR's repository: it needs the folders fuxictr and model_zoo")
    sys.path.insert(0, str(folder))
    return folder


def load_class(checkout, name):
    """The class `name`, whose file is model_zoo/**/src/NAME.py."""
    files = sorted((pathlib.Path(checkout).resolve() / "model_zoo").glob(f"**/src/{name}.py"))
    files = [f for f in files if "tf" not in f.parent.parent.name.lower().split("_")]
    if not files:
        sys.exit(f"{checkout}: model_zoo has no src/{name}.py")
    # The files of a folder import each other as one package.
    package = f"model_zoo_of_{name}"
    parent = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(package, loader=None, is_package=True))
    parent.__path__ = [str(files[0].parent)]
    sys.modules[package] = parent
    return getattr(importlib.import_module(f"{package}.{name}"), name)
