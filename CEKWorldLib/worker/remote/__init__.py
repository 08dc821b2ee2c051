"""The worker on another host: ``host`` lends a GPU to readers, ``service`` is a reader's side of the connection."""
