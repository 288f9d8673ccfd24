"""What the single file begins with. The daemon starts its workers as `PROGRAM -m MODULE`: so does this program."""

import runpy
import sys

from mailengine.cli.main import run

if sys.argv[1:2] == ["-m"] and sys.argv[2:3] and sys.argv[2].split(".")[0] == "mailengine":
    module = sys.argv[2]
    sys.argv[:] = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
else:
    run()
