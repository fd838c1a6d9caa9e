"""python -m atlas_archiver"""

from atlas_runtime.run import run

from atlas_archiver.app import serve
from atlas_archiver.settings import ArchiverSettings

if __name__ == "__main__":
    run(ArchiverSettings(), serve)
