/** What the pages' scripts share: the texts the server put into the page, and times in the reader's own zone. */

const roots = [document];

/** Read texts from *root*, a shadow root, as well. */
export const readTexts = (root) => roots.unshift(root);

function source(key) {
  for (const root of roots) {
    const found = root.querySelector(`template[data-text="${key}"]`);
    if (found) return found;
  }
  return null;
}

/** Whether the page carries the text *key*, as `<template data-text>`. */
export const knows = (key) => source(key) !== null;

/** The text *key*, with `{name}` replaced from *values*. */
export function text(key, values = {}) {
  return source(key).content.textContent.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Show *iso* (ISO 8601) in a `<time>` element, in the page's language and the reader's zone. */
export function showTime(element, iso) {
  const when = new Date(iso);
  if (!iso || Number.isNaN(when.getTime())) return;
  element.dateTime = iso;
  element.textContent = when.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}

/** Show a picture over the silhouette of *avatar*; without one, or if it fails, the silhouette stays. */
export function showAvatar(avatar, url) {
  const image = avatar.querySelector("img");
  image.onload = () => { image.hidden = false; };
  image.onerror = () => { image.hidden = true; };
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
