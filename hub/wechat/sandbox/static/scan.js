/** The scanner: reads a code from the camera, a picture that is chosen, pasted or dropped, or one by its address. */
const $ = (id) => document.getElementById(id);
const finder = $("finder");
const video = $("video");
const status = $("scan-status");
const LARGEST = 1280; // pixels a side: enough for any code, and quick
const EVERY = 150; // ms between two looks through the camera

let reader = null;

/** The browser's own detector where it has one for QR codes, else the library's. */
async function makeReader() {
  try {
    if ((await window.BarcodeDetector?.getSupportedFormats())?.includes("qr_code")) {
      const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
      return async (canvas) => (await detector.detect(canvas))[0]?.rawValue ?? "";
    }
  } catch {
    // A detector that cannot start is none.
  }
  const { decodeQR } = await import("./vendor/qr/decode.js");
  return (canvas) => {
    try {
      const { width, height } = canvas;
      const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
      return decodeQR({ width, height, data });
    } catch {
      return ""; // it throws where it finds nothing
    }
  };
}

async function read(source, width, height) {
  reader ??= await makeReader();
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff"; // what is transparent is paper
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return reader(canvas);
}

function scanned(text) {
  stopCamera();
  if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.(60);
  location.assign(`${finder.dataset.to}?${new URLSearchParams({ scan: text })}`);
}

function say(key) {
  if (status) status.textContent = finder.dataset[key];
}

async function readPicture(blob) {
  say("looking");
  let picture;
  try {
    picture = await createImageBitmap(blob);
  } catch {
    say("unreadable");
    return;
  }
  const text = await read(picture, picture.width, picture.height);
  picture.close();
  if (text) scanned(text);
  else say("nothing");
}

/** The picture of a sign-in page, whose content only the picture tells. */
async function readAddress(address) {
  try {
    const answer = await fetch(address, { cache: "no-store" });
    const blob = await answer.blob();
    if (!answer.ok) throw new Error(answer.status);
    if (blob.type.startsWith("image/svg")) await readDrawing(blob);
    else await readPicture(blob);
  } catch {
    say("unreadable");
  }
}

/** createImageBitmap takes no SVG: an image element does. */
async function readDrawing(blob) {
  const image = new Image(640, 640);
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
    const text = await read(image, 640, 640);
    if (text) scanned(text);
    else say("nothing");
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

async function startCamera() {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    say("noCamera");
    return;
  }
  video.srcObject = stream;
  video.hidden = false;
  finder.toggleAttribute("data-live", true);
  $("camera").setAttribute("aria-pressed", "true");
  await video.play();
  say("looking");
  while (video.srcObject === stream) {
    const text = video.videoWidth ? await read(video, video.videoWidth, video.videoHeight) : "";
    if (text && video.srcObject === stream) {
      scanned(text);
      return;
    }
    await new Promise((again) => setTimeout(again, EVERY));
  }
}

function stopCamera() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  video.hidden = true;
  finder.toggleAttribute("data-live", false);
  $("camera")?.setAttribute("aria-pressed", "false");
}

const pictureOf = (items) => [...(items ?? [])].find((file) => file.type.startsWith("image/"));

if ($("ways")) {
  $("ways").hidden = false;
  $("camera").hidden = !navigator.mediaDevices?.getUserMedia;
  $("camera").addEventListener("click", () => (video.srcObject ? stopCamera() : startCamera()));
  $("album").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    if (file) readPicture(file);
    $("file").value = "";
  });
  addEventListener("paste", (event) => {
    const file = pictureOf(event.clipboardData?.files);
    if (!file) return;
    event.preventDefault();
    readPicture(file);
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    const file = pictureOf(event.dataTransfer?.files);
    if (file) readPicture(file);
  });
  if (finder.dataset.picture) readAddress(finder.dataset.picture);
}
addEventListener("pagehide", stopCamera);
