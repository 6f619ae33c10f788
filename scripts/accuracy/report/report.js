"use strict";
// Every model's section has its scores as JSON: {"at", "below", "cats": [...], "others": [...],
// "kinds": {kind: [...]}, "scores": [[...], [...]], "shown"}. In cats, others and kinds, -1 stands for a photo that
// is not called cat at any threshold; "scores" has the measured scores of the same photos: cats, then others.
const Z = 1.959963984540054;

function wilson(errors, n) {
  const p = errors / n, z2 = Z * Z;
  const middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const spread = (Z * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n))) / (1 + z2 / n);
  return [Math.max(0, middle - spread), Math.min(1, middle + spread)];
}

function percent(share) {
  return (100 * share).toFixed(2);
}

function counted(cell, hits, n) {
  const [low, high] = wilson(hits, n);
  const interval = document.createElement("span");
  interval.className = "interval";
  interval.textContent = `(${percent(low)} - ${percent(high)} %)`;
  cell.replaceChildren(`${hits} of ${n} `, interval);
}

function follow(section) {
  const data = JSON.parse(section.querySelector(".scores").textContent);
  const panel = section.querySelector(".threshold");
  const slider = panel.querySelector("input");
  const logit = (score) => Math.log(score / (1 - score));
  const bounded = (value) => Math.min(Math.max(value, Number(slider.min)), Number(slider.max));

  function show(at) {
    const above = (scores) => scores.filter((score) => score >= at).length;
    const cats = data.cats.length, others = data.others;
    const below = Math.min(data.below, at);
    const called = data.cats.concat(others), scores = data.scores.flat();
    const unsure = called.filter((score, place) => score < at && scores[place] >= below).length;
    panel.querySelector(".at").textContent = at.toFixed(4);
    counted(panel.querySelector(".found"), above(data.cats), cats);
    counted(panel.querySelector(".called"), above(others), others.length);
    panel.querySelector(".unsure").textContent = unsure;
    for (const cell of section.querySelectorAll("[data-kind]")) {
      const scores = data.kinds[cell.dataset.kind];
      counted(cell, above(scores), scores.length);
    }
    for (const gallery of section.querySelectorAll(".photos")) {
      const isCats = gallery.dataset.label === "cat";
      const wrong = isCats ? cats - above(data.cats) : above(others);
      const figures = [...gallery.children];
      for (const [place, figure] of figures.entries()) {
        const isWrong = (Number(figure.dataset.score) >= at) !== isCats;
        figure.classList.toggle("wrong", isWrong);
        figure.hidden = !isWrong && place >= data.shown;
      }
      const more = wrong - figures.filter((figure) => figure.classList.contains("wrong")).length;
      gallery.previousElementSibling.textContent =
        `${wrong} ${isCats ? "missed" : "called cat"} at this threshold${more > 0 ? `, ${more} of them not shown` : ""}.`;
    }
  }

  slider.value = bounded(logit(data.at));
  slider.addEventListener("input", () => show(1 / (1 + Math.exp(-Number(slider.value)))));
  panel.querySelector("button").addEventListener("click", () => {
    slider.value = bounded(logit(data.at));
    show(data.at);
  });
  panel.hidden = false;
  show(data.at);
}

document.querySelectorAll("section").forEach(follow);
