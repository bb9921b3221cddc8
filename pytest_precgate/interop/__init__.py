"""Result files of this and other tools, read as recorded points and written for others.

``files`` finds and reads them; ``content`` distinguishes JSON, JSON lines, YAML and CSV; ``importers`` has one module
per tool and one row per module; ``rows`` holds what a file states of a point and what must be given beside it;
``plausible`` refuses impossible points; ``sweeps`` builds a cloud of them; ``export`` writes them. All except ``files``
are pure."""
