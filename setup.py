"""The one thing pyproject.toml cannot say: `device_db/` of the checkout is `mcuprof/device_db/` of the package."""

from setuptools import find_namespace_packages, setup

CODE = find_namespace_packages(include=["mcuprof", "mcuprof.*"])
DATA = ["mcuprof.device_db", *(f"mcuprof.device_db.{folder}" for folder in find_namespace_packages("device_db"))]

setup(
    packages=[*CODE, *DATA],
    package_dir={"mcuprof.device_db": "device_db"},
    package_data={"mcuprof": ["py.typed"], "mcuprof.report.html": ["*.css", "*.js"]}
    | {package: ["*.*", "VERSION"] for package in DATA},
)
