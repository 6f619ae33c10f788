// A dialog with a preview of the camera: take a photo, look at it, take it again or use it, switch cameras.
// Browsers give no camera to pages without https. Then the file field opens the phone's camera app.

import { gettext } from "./texts.js";

const part = (name) => document.getElementById(`camera-${name}`);
const SIZE = { width: { ideal: 2560 }, height: { ideal: 1920 } };
const SENTENCES = {
  NotAllowedError: gettext("The browser is not allowed to use the camera. Allow it, or choose a photo."),
  NotReadableError: gettext("The camera is used by another program. Close that program, or choose a photo."),
};

export function offerCamera(input, take) {
  const dialog = part("dialog");
  const video = part("video");
  const still = part("still");
  let stream = null;
  let cameras = [];
  let taken = 0;
  let starts = 0;

  function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = video.srcObject = null;
  }

  // state: "starting" | "preview" | "taken" | "problem"
  function show(state, sentence = "") {
    part("problem").textContent = sentence;
    part("problem").hidden = !sentence;
    video.hidden = state === "taken" || state === "problem";
    still.hidden = part("use").hidden = part("again").hidden = state !== "taken";
    part("take").hidden = state === "taken" || state === "problem";
    part("take").disabled = state !== "preview";
    part("switch").hidden = state !== "preview" || cameras.length < 2;
    const next = { preview: "take", taken: "use", problem: "close" }[state];
    if (next) part(next).focus(); // the button that had the focus is hidden or disabled
  }

  async function start(wish) {
    stop();
    show("starting");
    const number = (starts += 1);
    const isOver = () => !dialog.open || number !== starts; // closed meanwhile, and perhaps opened again
    try {
      const camera = await navigator.mediaDevices.getUserMedia({ video: { ...SIZE, ...wish } });
      if (isOver()) return camera.getTracks().forEach((track) => track.stop());
      stream = camera;
      cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
      video.srcObject = camera;
      await video.play();
      show("preview");
    } catch (error) {
      if (isOver()) return;
      show("problem", SENTENCES[error.name] ?? gettext("No camera found. Choose a photo instead."));
    }
  }

  function next() {
    const here = stream?.getVideoTracks()[0]?.getSettings().deviceId;
    const place = cameras.findIndex(({ deviceId }) => deviceId === here);
    return { deviceId: { exact: cameras[(place + 1) % cameras.length].deviceId } };
  }

  input.addEventListener("click", (event) => {
    if (!navigator.mediaDevices?.getUserMedia) return;
    event.preventDefault();
    dialog.showModal();
    start({ facingMode: { ideal: "environment" } });
  });
  part("take").addEventListener("click", () => {
    still.width = video.videoWidth;
    still.height = video.videoHeight;
    still.getContext("2d").drawImage(video, 0, 0);
    show("taken");
  });
  part("again").addEventListener("click", () => show("preview"));
  part("switch").addEventListener("click", () => start(next()));
  part("use").addEventListener("click", () => {
    const name = taken ? `camera-${taken + 1}.jpg` : "camera.jpg";
    taken += 1;
    still.toBlob((blob) => take(new File([blob], name, { type: "image/jpeg" })), "image/jpeg", 0.92);
    dialog.close();
  });
  part("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", stop);
}
