"""Property tests measure no time: the machine that runs them is shared."""

from hypothesis import settings

settings.register_profile("mail", deadline=None)
settings.load_profile("mail")
