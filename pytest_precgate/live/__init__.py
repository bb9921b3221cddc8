"""Where engines, the load client and this machine meet: a server is started, loaded, watched and stopped here.

Importing it opens nothing; the gatekeeper does so with the first server."""
