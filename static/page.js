/** What the pages share: the texts that the server put into them, and times in the reader's zone. */
let roots = [document];

/** Read texts from the shadow root *root* as well. */
export const readTexts = (root) => { roots = [root, document]; };

const source = (key) => roots.map((root) => root.querySelector(`template[data-text="${key}"]`)).find(Boolean);

/** Whether the page carries the text *key*, as `<template data-text>`. */
export const knows = (key) => Boolean(source(key));

/** The text *key*, with `{name}` replaced from *values*. */
export function text(key, values = {}) {
  return source(key).content.textContent.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Show *iso* in a `<time>` element. */
export function showTime(element, iso) {
  const when = new Date(iso);
  if (!iso || Number.isNaN(when.getTime())) return;
  element.dateTime = iso;
  element.textContent = when.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}

/** Show a picture over the silhouette of the avatar below *root*, if it loads. */
export function showAvatar(root, url) {
  const image = root.querySelector(".avatar img");
  image.onload = image.onerror = ({ type }) => { image.hidden = type === "error"; };
  if (!url) image.hidden = true;
  else if (image.getAttribute("src") !== url) image.src = url;
}

/** Name the countries of the pickers below *root* in the language *lang*. */
export function nameCountries(root = document, lang = document.documentElement.lang) {
  const names = new Intl.DisplayNames(lang, { type: "region" });
  for (const option of root.querySelectorAll("[data-region]:not(:only-child)")) {
    option.label = `${option.value} ${names.of(option.dataset.region)}`;
  }
}
