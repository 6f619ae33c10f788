"""The long-running commands, and the resources that they need.

``catloader serve`` starts in this order; each step is undone when a later one fails, and a stop undoes them
in reverse order:

1. ``cli`` reads the settings (one plain sentence for a wrong value) and calls ``commands.serve``.
2. ``commands`` refuses settings that cannot work: a data folder that is not writable or nearly full
   (``data_dir``), a model without weights, rates that do not parse.
3. ``data_dir.exclusive_data_dir`` locks the data folder: one site for each folder.
4. ``listener.listening`` opens the port; early connections wait instead of being refused.
5. ``database.migrate_database`` brings the tables up to date and closes its connections, because forked
   processes must not share a connection.
6. ``object_store.own_object_store`` makes the buckets, on the embedded server or on the configured server.
7. ``gunicorn.Server`` forks the workers. In each worker, ``wiring.build`` makes engines, clients and threads,
   and ``create_app`` the pages; the model loads in the background while uploads are already accepted. Each
   worker (``worker``) runs waitress's event loop (``connections``, ``request_parser``) and its threads
   (``pools``).
8. ``announce`` prints on the terminal that uploads are accepted, and later the model that checks.

``catloader checker serve`` and ``catloader worker`` leave out step 3 and wait in step 6 for the object store
of the site on the same data folder (``wait_for_site_object_store``). Short-lived commands share that store or
run another one (``shared_or_own_object_store``).
"""
