"""The HTML report: a page model (values to a JSON-able document), and the page that shows it.

Loaded only where one is written."""
