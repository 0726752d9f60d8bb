"""What pyproject.toml has no stable words for: the one compiled module, left out where there is no C compiler."""

from setuptools import Extension, setup

setup(ext_modules=[Extension("indexes._kernels", ["indexes/_kernels.c"], optional=True, py_limited_api=True)])
