"""The rules of mailengine, a package per subject; none of them knows a face."""
