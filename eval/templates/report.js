
"use strict";
// Without this script everything is there, unfiltered. It reads attributes and text and writes no markup.
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const field = form.elements;
  const all = Array.from(document.querySelectorAll("#list > details"), (element) => {
    const data = element.dataset;
    return {
      element,
      changed: data.changed === "1",
      failed: data.failed === "1",
      worse: JSON.parse(data.worse),
      better: JSON.parse(data.better),
      tags: JSON.parse(data.tags),
      principal: data.principal,
      text: null,
    };
  });
  const kinds = {
    all: (one, metric) => !metric || one.worse.includes(metric) || one.better.includes(metric),
    changed: (one, metric) => (metric ? kinds.all(one, metric) : one.changed),
    worse: (one, metric) => (metric ? one.worse.includes(metric) : one.worse.length > 0),
    better: (one, metric) => (metric ? one.better.includes(metric) : one.better.length > 0),
    failed: (one, metric) => one.failed && kinds.all(one, metric),
  };
  const says = (one, words) => {
    one.text ??= one.element.textContent.toLowerCase();
    return words.every((word) => one.text.includes(word));
  };
  const apply = () => {
    const words = field.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = (one) =>
      kinds[field.show.value](one, field.metric.value) &&
      (!field.tag.value || one.tags.includes(field.tag.value)) &&
      (!field.principal.value || one.principal === field.principal.value) &&
      says(one, words);
    let count = 0;
    for (const one of all) {
      const shown = wanted(one);
      one.element.hidden = !shown;
      count += shown;
    }
    document.getElementById("count").value = `${count} of ${all.length} questions`;
    document.getElementById("none").hidden = count > 0;
  };
  let waiting;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 80);
  });
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("open").addEventListener("click", () => {
    const shown = all.filter((one) => !one.element.hidden).slice(0, 200);
    const open = !shown.every((one) => one.element.open);
    for (const one of shown) one.element.open = open;
  });
  for (const link of document.querySelectorAll("a[data-metric]")) {
    link.addEventListener("click", () => {
      const names = Array.from(field.metric.options, (option) => option.value);
      const name = [link.dataset.metric, link.dataset.rows].find((one) => names.includes(one));
      form.reset();
      field.metric.value = name ?? "";
      setTimeout(apply);
    });
  }
  form.hidden = false;
  apply();
})();
