"use strict";
(() => {
  // Figures: SVG, so that they print sharply; drawn when they come near the screen, or all before printing.
  const charts = [...document.querySelectorAll(".chart")];
  const draw = (element) => {
    if (element.dataset.drawn) return Promise.resolve();
    element.dataset.drawn = "yes";
    const spec = JSON.parse(document.getElementById(element.dataset.spec).textContent);
    return vegaEmbed(element, spec, { renderer: "svg", actions: false, tooltip: { theme: "light" } });
  };
  const watcher = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => { watcher.unobserve(e.target); draw(e.target); }),
    { rootMargin: "600px" },
  );
  charts.forEach((element) => watcher.observe(element));
  window.drawAll = () => Promise.all(charts.map(draw));
  window.addEventListener("beforeprint", () => {
    window.drawAll();
    document.querySelectorAll("main details").forEach((d) => { if (d.id !== "all-cells") d.open = true; });
  });

  // Tables: embedded as gzip, unpacked on demand.
  const unpacked = {};
  const csv = async (name) => {
    if (!(name in unpacked)) {
      const packed = document.querySelector(`script.packed[data-table="${name}"]`).textContent.trim();
      const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      unpacked[name] = await new Response(stream).text();
    }
    return unpacked[name];
  };
  document.querySelectorAll("button.csv").forEach((button) => button.addEventListener("click", async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([await csv(button.dataset.table)], { type: "text/csv" }));
    link.download = `${button.dataset.table}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }));

  const parse = (text) => {
    const rows = [[]];
    let field = "", quoted = false;
    for (let i = 0; i < text.length; i++) {
      const c = text[i];
      if (quoted) {
        if (c === '"' && text[i + 1] === '"') { field += c; i++; }
        else if (c === '"') quoted = false;
        else field += c;
      } else if (c === '"') quoted = true;
      else if (c === ",") { rows.at(-1).push(field); field = ""; }
      else if (c === "\n") { rows.at(-1).push(field); field = ""; rows.push([]); }
      else field += c;
    }
    if (rows.at(-1).length === 0) rows.pop();
    return rows;
  };
  const SHOWN = ["cell", "status", "cause", "score", "score_n", "dev", "seed", "mask_seed", "trainable", "hash_data", "hash_code", "hash_backbone"];
  const table = async (numbers) => {
    const [head, ...rows] = parse(await csv("cells"));
    const at = SHOWN.map((name) => head.indexOf(name));
    const made = document.createElement("table");
    made.createTHead().insertRow().append(...SHOWN.map((name) => Object.assign(document.createElement("th"), { textContent: name })));
    const body = made.createTBody();
    for (const row of numbers === null ? rows : numbers.map((n) => rows[n])) {
      const line = body.insertRow();
      at.forEach((i) => { line.insertCell().textContent = /^-?\d+\.\d{3,}$/.test(row[i]) ? Number(row[i]).toFixed(2) : row[i]; });
    }
    return made;
  };
  const dialog = document.getElementById("walk");
  document.querySelectorAll("button.walk").forEach((button) => button.addEventListener("click", async () => {
    const numbers = button.dataset.cells.split(" ").filter(Boolean).map(Number);
    document.getElementById("walk-body").replaceChildren(await table(numbers));
    dialog.showModal();
  }));
  document.getElementById("all-cells").addEventListener("toggle", async (event) => {
    const place = document.getElementById("cells-table");
    if (event.target.open && !place.firstChild) place.append(await table(null));
  });
})();
