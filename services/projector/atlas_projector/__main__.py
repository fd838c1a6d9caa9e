"""python -m atlas_projector"""

from atlas_runtime.run import run

from atlas_projector.app import serve
from atlas_projector.settings import ProjectorSettings

if __name__ == "__main__":
    run(ProjectorSettings(), serve)
