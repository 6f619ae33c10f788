// The texts of the page scripts in the language of the page. A page in another language than English carries
// their translations as one block of JSON.

const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");
const page = document.documentElement.lang;

// For dates and numbers: the person's own variety of the page's language, as in en-US or de-AT; the server
// chooses in the same way.
const variety = navigator.languages.find((one) => one.split("-")[0] === page);
export const locale = variety ?? (page === "en" ? "en-GB" : page);

const filled = (text, values) => text.replace(/%\((\w+)\)[sd]/g, (_, name) => values[name]);

export const gettext = (message, values = {}) => filled(texts[message] ?? message, values);

export function ngettext(one, many, number, values = {}) {
  const forms = texts[one] ?? [one, many];
  return filled(forms[number === 1 ? 0 : 1], { num: number, ...values });
}
