// Texts of the scripts in the language of the page. Pages that are not in English contain the translations as JSON.

const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");
const page = document.documentElement.lang;

function isValid(code) {
  try {
    return Intl.getCanonicalLocales(code).length > 0;
  } catch {
    return false;
  }
}

// For dates and numbers: the browser's variety of the page's language, such as en-US or de-AT. The server selects it
// in the same way.
const names = navigator.languages.map((code) => code.split("@")[0]); // some browsers report "en-US@posix", which they refuse here
const variety = names.find((code) => code.split("-")[0] === page && isValid(code));
export const locale = variety ?? (page === "en" ? "en-GB" : page);

const filled = (text, values) => text.replace(/%\((\w+)\)[sd]/g, (_, name) => values[name]);

export const gettext = (message, values = {}) => filled(texts[message] ?? message, values);

export function ngettext(singular, plural, number, values = {}) {
  const forms = texts[singular] ?? [singular, plural];
  return filled(forms[number === 1 ? 0 : 1], { num: number, ...values });
}
