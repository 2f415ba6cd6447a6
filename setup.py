"""The part of the build that pyproject.toml cannot say: the notebooks of the top level go into the wheel."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

NOTEBOOKS = sorted(path.as_posix() for path in Path("notebooks").glob("*.ipynb"))


class BuildWithNotebooks(build_py):
    """Copies notebooks/*.ipynb to dataengine_lib/notebooks; an editable install uses those of the checkout."""

    def run(self):
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib, "dataengine_lib", "notebooks")
            folder.mkdir(parents=True, exist_ok=True)
            for notebook in NOTEBOOKS:
                self.copy_file(notebook, str(folder / Path(notebook).name))

    def get_source_files(self):
        """What a source distribution holds."""
        return [*super().get_source_files(), *NOTEBOOKS]


setup(cmdclass={"build_py": BuildWithNotebooks})
