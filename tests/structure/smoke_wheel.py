"""Run in an environment that has only the wheel: are all three packages there, with their data files, and nothing else?"""

import importlib
import importlib.metadata
import importlib.resources
import importlib.util
import sys

DATA = {
    "kafka_persist": ["py.typed", "reference.toml", "_config/librdkafka_properties.txt"],
    "kafka_persist_testkit": ["py.typed", "_engines/data/kafka-3.9.1.jars", "_engines/data/log4j.properties"],
    "compat_suite": ["py.typed"],
}


NOT_SHIPPED = ("lab", "tests", "benchmarks")


def main():
    for package, files in DATA.items():
        module = importlib.import_module(package)
        assert "site-packages" in module.__file__, f"{package} is not the installed one: {module.__file__}"
        missing = [file for file in files if not importlib.resources.files(package).joinpath(file).is_file()]
        assert not missing, f"{package} lacks {missing}"
        for name in getattr(module, "__all__", ()):
            getattr(module, name)
    shipped = [package for package in NOT_SHIPPED if importlib.util.find_spec(package)]
    assert not shipped, f"the wheel has {shipped}"
    print(f"kafka-persist {importlib.metadata.version('kafka-persist')} on Python {sys.version.split()[0]}")


main()
