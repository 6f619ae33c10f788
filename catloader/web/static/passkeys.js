// Register a passkey, and log in with a passkey. The forms stay hidden if the browser does not support passkeys.

import { gettext } from "./texts.js";

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function send(form, address, fields) {
  const body = new URLSearchParams({ csrf_token: form.elements.csrf_token.value, ...fields });
  const response = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
  const content = await response.json();
  if (!response.ok) throw new Error(content.error);
  return content;
}

// Extensions that keep passkeys may return nothing instead of an error when the person cancels.
function given(key) {
  if (!key) throw new DOMException("no passkey", "NotAllowedError");
  return key;
}

async function register(form) {
  const { elements, dataset } = form;
  const { options, challenge } = await send(form, dataset.options, { password: elements.password.value });
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: options.excludeCredentials.map((key) => ({ ...key, id: bytes(key.id) })),
  };
  const key = given(await navigator.credentials.create({ publicKey }));
  const response = {
    attestationObject: text(key.response.attestationObject),
    clientDataJSON: text(key.response.clientDataJSON),
  };
  const credential = JSON.stringify({ id: key.id, rawId: text(key.rawId), type: key.type, response });
  return send(form, form.action, { challenge, credential, name: elements.name.value });
}

async function logIn(form) {
  const { options, challenge } = await send(form, form.dataset.options, {});
  const publicKey = { ...options, challenge: bytes(options.challenge) };
  const key = given(await navigator.credentials.get({ publicKey }));
  const response = {
    authenticatorData: text(key.response.authenticatorData),
    clientDataJSON: text(key.response.clientDataJSON),
    signature: text(key.response.signature),
  };
  const credential = JSON.stringify({ id: key.id, rawId: text(key.rawId), type: key.type, response });
  return send(form, form.action, { challenge, credential, next: form.elements.next?.value ?? "" });
}

// Errors of the browser: cancelled, timed out, no such key, registered already.
function sentence(error) {
  if (error instanceof TypeError || error instanceof SyntaxError) return gettext("The site does not answer. Please try again in a moment.");
  if (error.name === "InvalidStateError") return gettext("This device already has a passkey for your account.");
  if (error instanceof DOMException) return gettext("No passkey was used.");
  return error.message;
}

function offer(form, action) {
  if (!form || !window.PublicKeyCredential) return;
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector(".button"); // not "Show" of a password
    const problem = form.querySelector(".problem");
    button.disabled = true;
    problem.hidden = true;
    try {
      location.assign((await action(form)).location);
    } catch (error) {
      problem.textContent = sentence(error);
      problem.hidden = false;
      button.disabled = false;
    }
  });
}

offer(document.getElementById("new-passkey"), register);
offer(document.getElementById("passkey-log-in"), logIn);
