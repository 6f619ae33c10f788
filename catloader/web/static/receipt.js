// The receipt shown after a deletion: reloading it must not send the form again, which would find no account.

history.replaceState(history.state, "", new URL(document.getElementById("receipt").href).pathname);
