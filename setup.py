"""What pyproject.toml has no stable words for: the compiled modules, left out where there is no C compiler."""

from setuptools import Extension, setup


def compiled(name: str) -> Extension:
    source = f"indexes/_{name}.c"
    return Extension(f"indexes._{name}", [source], depends=["indexes/_arrays.h"], optional=True, py_limited_api=True)


setup(ext_modules=[compiled("kernels"), compiled("memory_kernels")])
