"""All that speaks HTTP: the app, its public endpoints, the API and the pages."""
