// The texts of the page scripts in the language of the page. A page in another language than English carries
// their translations as one block of JSON.

const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");
const page = document.documentElement.lang;

// For dates and numbers: the person's own variety of the page's language, as in en-GB or de-AT.
export const locale = navigator.languages.find((one) => one.split("-")[0] === page) ?? page;

const filled = (text, values) => text.replace(/%\((\w+)\)[sd]/g, (_, name) => values[name]);

export const gettext = (message, values = {}) => filled(texts[message] ?? message, values);

export function ngettext(one, many, number, values = {}) {
  const forms = texts[one] ?? [one, many];
  return filled(forms[number === 1 ? 0 : 1], { num: number, ...values });
}
