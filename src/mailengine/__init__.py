"""mailengine: the e-mail engine a self-hoster installs with one command and never outgrows."""

__version__ = "0.1.0"
