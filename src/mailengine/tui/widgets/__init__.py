"""Parts of screens. They change in place and only where something changed, so that nothing flickers."""
