"""What every test may rely on: no library calls home or looks anything up on a model hub."""

from agent.settings import stay_local

stay_local()  # before any test module imports a library that reads these variables
