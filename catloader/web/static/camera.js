// On a phone the file field opens the camera. On a computer it opens the file chooser, so where there is
// a mouse and a camera, the button opens a dialog with a camera preview instead.

import { gettext } from "./texts.js";

export function offerCamera(input, take) {
  const dialog = document.getElementById("camera-dialog");
  const video = document.getElementById("camera-picture");
  const problem = document.getElementById("camera-problem");
  const shutter = document.getElementById("camera-take");
  let stream = null;

  function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = video.srcObject = null;
  }

  function showProblem(sentence) {
    problem.textContent = sentence;
    problem.hidden = !sentence;
    video.hidden = Boolean(sentence);
    shutter.hidden = Boolean(sentence);
  }

  input.addEventListener("click", async (event) => {
    if (!navigator.mediaDevices?.getUserMedia || matchMedia("(pointer: coarse)").matches) return;
    event.preventDefault();
    showProblem("");
    shutter.disabled = true;
    dialog.showModal();
    try {
      const camera = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 }, height: { ideal: 1440 } } });
      stream = camera;
      if (!dialog.open) return stop(); // cancelled while the browser asked for permission
      video.srcObject = camera;
      await video.play();
      shutter.disabled = false;
    } catch (error) {
      if (!dialog.open) return;
      showProblem(error.name === "NotAllowedError" ? gettext("The browser is not allowed to use the camera. Allow it, or choose a photo.") : gettext("No camera found. Choose a photo instead."));
    }
  });

  shutter.addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => take(new File([blob], "camera.jpg", { type: "image/jpeg" })), "image/jpeg", 0.92);
    dialog.close();
  });
  document.getElementById("camera-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", stop);
}
