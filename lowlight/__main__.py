"""`python -m lowlight` is the command `lowlight`."""
import sys

from lowlight.cli import main

sys.exit(main())
