// Pointing at a token lights up those of the other side that it pairs with most strongly.
"use strict";
const clear = () => document.querySelectorAll(".lit").forEach((span) => span.classList.remove("lit"));
const ids = (span) => (span.dataset.t || "").split(" ").filter(Boolean);
const partners = (span) => (span.dataset.p || "").split(" ").filter(Boolean).map((pair) => pair.split(":")[0]);
document.addEventListener("mouseover", (event) => {
  clear();
  const span = event.target.closest ? event.target.closest(".text span[data-t]") : null;
  const hit = span && span.closest(".hit");
  if (!hit) return;
  const training = span.closest(".training");
  const wanted = new Set(training ? partners(span) : ids(span));
  if (training) {
    hit.querySelectorAll(".query span[data-t]").forEach((other) => {
      if (ids(other).some((id) => wanted.has(id))) other.classList.add("lit");
    });
  } else {
    hit.querySelectorAll(".training span[data-p]").forEach((other) => {
      if (partners(other).some((id) => wanted.has(id))) other.classList.add("lit");
    });
  }
  span.classList.add("lit");
});
document.addEventListener("mouseleave", clear);
