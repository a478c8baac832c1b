"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Tooltip: what a <title> says, at once and for the keyboard too. Names are only ever set as text.
  const tip = document.getElementById("tip");
  let shown = null;
  const place = () => {
    const at = shown.getBoundingClientRect();
    const gap = 8;
    const left = Math.min(Math.max(at.left, gap), innerWidth - tip.offsetWidth - gap);
    const above = at.top - tip.offsetHeight - gap;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > gap ? above : Math.min(at.bottom + gap, innerHeight - tip.offsetHeight - gap)}px`;
  };
  const show = (mark) => {
    shown = mark;
    const words = mark.getAttribute("aria-label");
    const cut = words.lastIndexOf(": ");
    const name = document.createElement("b");
    name.textContent = words.slice(0, cut);
    tip.replaceChildren(name, words.slice(cut + 2));
    tip.hidden = false;
    place();
  };
  const hide = () => { tip.hidden = true; };
  addEventListener("scroll", () => tip.hidden || place(), { passive: true, capture: true });

  // One tab stop a drawing; arrow keys go to the nearest mark in their direction.
  const heading = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const centre = (mark) => {
    const box = mark.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const nearest = (marks, from, [dx, dy]) => {
    const [x, y] = centre(from);
    let best = null;
    let least = Infinity;
    for (const mark of marks) {
      const [mx, my] = centre(mark);
      const along = (mx - x) * dx + (my - y) * dy;
      const aside = Math.abs((mx - x) * dy) + Math.abs((my - y) * dx);
      const distance = along + 3 * aside;
      if (mark !== from && along > 0.5 && distance < least) [best, least] = [mark, distance];
    }
    return best;
  };
  for (const drawing of all(".plot, .scatter")) {
    const marks = all(".buffer, .point", drawing);
    for (const mark of marks) {
      const title = mark.querySelector("title");
      mark.setAttribute("aria-label", title.textContent);
      mark.setAttribute("role", "img");
      mark.setAttribute("tabindex", "-1");
      title.remove();
    }
    if (marks.length) marks[0].setAttribute("tabindex", "0");
    const marked = (event) => (marks.includes(event.target) ? event.target : null);
    drawing.addEventListener("pointerover", (event) => (marked(event) ? show(event.target) : hide()));
    drawing.addEventListener("pointerleave", hide);
    drawing.addEventListener("focusin", (event) => marked(event) && show(event.target));
    drawing.addEventListener("focusout", hide);
    drawing.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return hide();
      const next = event.key in heading && marked(event) ? nearest(marks, event.target, heading[event.key]) : null;
      if (!next) return undefined;
      event.preventDefault();
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
      return undefined;
    });
  }

  // The strategy switch: mark the row, say what it gives, draw where its arena would end.
  for (const box of all(".switch")) {
    const map = document.getElementById(box.dataset.map);
    const line = map && map.querySelector("line.chosen");
    const choose = (input, speak) => {
      for (const row of all("tbody tr", box)) row.classList.toggle("chosen", row.contains(input));
      if (speak) box.querySelector(".said").textContent = input.dataset.words;
      if (!line) return;
      const at = 100 - (100 * Number(input.value)) / Number(line.dataset.height);
      for (const end of ["y1", "y2"]) line.setAttribute(end, at <= 0 ? "-1" : `${at}%`);
    };
    box.addEventListener("change", (event) => choose(event.target, true));
    const checked = box.querySelector("input:checked");
    if (checked) choose(checked, false);
  }

  // Sorting by a column; rows without data stay last. Costs start with the largest.
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? (a < b ? -1 : a > b ? 1 : 0) : x - y;
  };
  for (const table of all("table[data-sortable]")) {
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const cell = button.parentElement;
      const before = cell.getAttribute("aria-sort");
      const flipped = before === "ascending" ? "descending" : "ascending";
      const order = before ? flipped : button.dataset.first;
      for (const other of all("th", table)) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => row.cells[cell.cellIndex].dataset.value;
      const rows = [...table.tBodies[0].rows];
      const known = rows.filter((row) => value(row) !== undefined);
      known.sort((a, b) => sign * compare(value(a), value(b)));
      table.tBodies[0].append(...known, ...rows.filter((row) => value(row) === undefined));
    });
  }

  // Several results: one at a time, chosen by its link; the address keeps the choice.
  const articles = all("article");
  const links = all(".summary a");
  let chosen = articles[0];
  const turn = () => {
    const named = articles.find((article) => `#${article.id}` === location.hash);
    chosen = named || chosen;
    for (const article of articles) article.hidden = article !== chosen;
    for (const link of links) {
      link.closest("tr").toggleAttribute("aria-current", link.hash === `#${chosen.id}`);
    }
    if (named) named.scrollIntoView();
  };
  if (links.length) {
    addEventListener("hashchange", turn);
    turn();
  }

  document.documentElement.dataset.ready = "";
})();
