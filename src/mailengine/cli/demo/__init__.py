"""The main job on example data, with the real parts: database, daemon, SMTP, HTTP.

`processes` runs the daemon and the catcher, `stage` makes the installation, `recipients` reads the caught mail
and acts as people do, `proof` counts who got what, `show` prints. `mailengine demo` is the play.
"""
