/** The chat: shows what arrives while it is open. */
const talk = document.getElementById("talk");
const EVERY = 1000; // ms

function shown(message) {
  const item = document.createElement("li");
  item.className = message.kind === "note" ? "note" : message.mine ? "said mine" : "said";
  item.dataset.number = message.number;
  const bubble = document.createElement("div");
  if (message.kind !== "note") bubble.className = "bubble";
  for (const { text, url } of message.pieces) {
    if (/^https?:\/\//i.test(url)) {
      const link = document.createElement("a");
      link.href = url;
      link.textContent = text;
      bubble.append(link);
    } else bubble.append(text);
  }
  item.append(bubble);
  return item;
}

async function look() {
  const after = talk.lastElementChild?.dataset.number ?? 0;
  try {
    const answer = await fetch(`${talk.dataset.messages}?${new URLSearchParams({ after })}`);
    const messages = await answer.json();
    talk.append(...messages.map(shown));
    if (messages.length) talk.lastElementChild.scrollIntoView({ block: "end" });
  } catch {
    // The next look may find the server again.
  }
}

talk.lastElementChild?.scrollIntoView({ block: "end" });
setInterval(() => {
  if (!document.hidden) look();
}, EVERY);
