"""The one thing pyproject.toml cannot say: `device_db/` of the checkout is `mcuprof/device_db/` of the package."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["mcuprof", "mcuprof.*"]), "mcuprof.device_db"],
    package_dir={"mcuprof.device_db": "device_db"},
    package_data={"mcuprof": ["py.typed"], "mcuprof.device_db": ["VERSION", "*.csv", "*/*"]},
)
