/** The dashboard: figures from a socket, drawn as SVG, and people as the server renders them. */
import { wire } from "./forms.js";
import { LoginHub } from "./hub-client.js";
import { followAccount } from "./hub-stream.js";
import { knows, showTime, text } from "./page.js";

const TONES = { success: "success", failed: "warning", blocked: "danger", sockets: "neutral" };

const hub = new LoginHub();
const $ = (id) => document.getElementById(id);
const word = (name) => (knows(`page.admin.${name}`) ? text(`page.admin.${name}`) : name);
const format = (value, options) => value.toLocaleString(document.documentElement.lang, options);
const percent = (part, whole) => format(whole && part / whole, { style: "percent" });
const sum = (values) => values.reduce((one, other) => one + other, 0);

let stop = () => {};
let slots = []; // what happened in each, the newest last
let asked = {}; // what is shown of people
let silence; // a timer that each frame puts off

/* Figures */

/** Draw a column for each of the slots: what it counts by each of *names*, upon each other. */
function columns(id, names) {
  const most = Math.max(1, ...slots.map((slot) => sum(names.map((name) => slot[name]))));
  const width = 100 / slots.length;
  const shapes = slots.flatMap((slot, place) => {
    let y = 100;
    return names.map((name) => {
      const shape = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const height = 100 * slot[name] / most;
      const given = { x: place * width, y: y -= height, width: 0.8 * width, height, "data-tone": TONES[name] };
      for (const key in given) shape.setAttribute(key, given[key]);
      return shape;
    });
  });
  $(id).replaceChildren(...shapes);
  $(`${id}-most`).textContent = format(most);
}

/** Fill a list: the bar of each count is its share of its whole, or else of the largest. */
function bars(id, counts) {
  const most = Math.max(1, ...counts.map(({ count }) => count));
  $(id).replaceChildren(...counts.map(({ names, count, whole, tone }) => {
    const row = $("bar").content.firstElementChild.cloneNode(true);
    const [label, value, plot] = row.children;
    label.textContent = names.map(word).join(" · ");
    value.textContent = format(count) + (whole === null ? "" : ` / ${format(whole)} · ${percent(count, whole)}`);
    plot.firstElementChild.setAttribute("width", 100 * count / (whole ?? most) || 0);
    row.dataset.tone = tone;
    return row;
  }));
}

function draw({ points, results, sockets, p50, p99, bars: lists }) {
  for (const point of points) slots = [...slots.filter(({ at }) => at !== point.at), point].slice(-60);
  columns("tries", Object.keys(results));
  columns("sockets", ["sockets"]);
  const share = percent(results.success, sum(Object.values(results)));
  const told = { ...results, open: sockets, share, p50: Math.ceil(p50), p99: Math.ceil(p99) };
  for (const id in told) $(id).textContent = format(told[id]);
  for (const id in lists) bars(id, lists[id]);
}

function tell(name, tone) {
  const mark = $("live");
  if (mark.dataset.tone === tone) return; // else it would be read out at each frame
  mark.dataset.tone = tone;
  mark.textContent = word(name);
}

/* People */

async function people(more) {
  asked = { ...asked, ...more };
  const list = document.createElement("template");
  list.innerHTML = (await hub.request(`/api/admin/content?${new URLSearchParams(asked)}`)).html;
  for (const each of list.content.querySelectorAll("time")) showTime(each, each.dateTime);
  for (const form of list.content.querySelectorAll("form")) {
    wire(form, hub, async (body) => {
      await hub.request(form.dataset.path, { method: form.dataset.method, body });
      $("news").textContent = word("done");
      await people();
    });
  }
  const { id } = document.activeElement;
  $("people").replaceChildren(list.content);
  $(id)?.focus();
}

/* All of it */

function show(name) {
  for (const part of document.querySelectorAll("[data-part]")) part.hidden = part.dataset.part !== name;
  if (name !== "board") stop();
}

function failed(problem) {
  if (!("slug" in problem)) throw problem;
  show({ 401: "signed_out", 422: "signed_out", 403: "forbidden" }[problem.status] ?? "unreachable");
}

wire($("search"), hub, ({ query = "" }) => people({ query, cursor: 0, open: 0 }));
$("people").addEventListener("click", ({ target: { name, value } }) => value && people({ [name]: value }).catch(failed));
hub.onSignedOut = () => show("signed_out");
people().then(() => {
  show("board");
  stop = followAccount(hub, {
    path: "/api/admin/stream",
    onEvent(frame) {
      clearTimeout(silence);
      silence = setTimeout(tell, 8000, "connecting", "warning");
      tell("live", "success");
      draw(frame);
    },
    onRead() {},
    onEnd: hub.onSignedOut,
    onRefused: () => show("ended"),
  });
}).catch(failed);
