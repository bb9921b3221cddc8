"""Result files of this and other tools, read as recorded points and written for others.

``files`` finds and reads them; ``content`` tells JSON, JSON lines, YAML and CSV apart; ``importers`` has one module per
tool and one row per module; ``rows`` holds what a file states of a point and what must be stated beside it;
``plausible`` refuses points that cannot be; ``sweeps`` makes a cloud of them; ``export`` writes them. All but ``files``
is pure."""
