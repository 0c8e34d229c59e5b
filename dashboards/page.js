// Looks up the frontier of the reader's selection (computed in Python, results.judge.pareto) and shows it; sorts the table.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const get = (id) => document.getElementById(id);
  const fields = ["device", "accuracy", "backend", "precision", "threads"];
  const NARROW = 560; // px; below it labels are numbers only
  const state = { device: "0", accuracy: "0", backend: "*", precision: "*", threads: "*", q: "", only: "", sort: "" };
  const EMBED = {
    mode: "vega", renderer: "svg", actions: false, defaultStyle: false, hover: true,
    ast: true, // expressions are interpreted, so the page's policy can forbid eval
    tooltip: { disableDefaultStyle: true },
  };
  let view = null; // a promise from the first drawing on

  // --- State and the address: the hash holds values, not positions, so that it survives another night's page.
  const text = (field, position) => String(data.options[field][Number(position)]);

  function readHash() {
    const hash = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) {
      const wanted = data.options[field].map(String).indexOf(hash.get(field));
      const start = field === "device" || field === "accuracy" ? "0" : "*";
      state[field] = wanted < 0 ? start : String(wanted);
      const select = get(`select-${field}`);
      if (select) select.value = state[field];
    }
    for (const key of ["q", "only", "sort"]) state[key] = hash.get(key) || "";
    get("filter").value = state.q;
    get("only").checked = state.only === "1";
  }

  function writeHash() {
    const hash = new URLSearchParams();
    for (const field of fields) {
      if (data.options[field].length > 1 && state[field] !== "*") hash.set(field, text(field, state[field]));
    }
    for (const key of ["q", "only", "sort"]) if (state[key]) hash.set(key, state[key]);
    history.replaceState(null, "", `#${hash}`);
  }

  // --- The selection: what Python found for it, as points for the chart.
  function selection() {
    const found = data.selections[fields.map((field) => state[field]).join("|")];
    return found || { frontier: [], tie: [], dominated: [], other: [], named: [], numbered: [] };
  }

  function members(found) {
    const pairs = [...found.tie, ...found.dominated].map(([index]) => index);
    return [...found.frontier, ...pairs, ...found.other];
  }

  function chartPoints(found) {
    const status = new Map();
    found.frontier.forEach((index) => status.set(index, ["frontier", "on the frontier"]));
    found.tie.forEach(([index, by]) => status.set(index, ["tie", `tie with ${data.points[by].name}`]));
    found.dominated.forEach(([index, by]) => status.set(index, ["dominated", `dominated by ${data.points[by].name}`]));
    found.other.forEach((index) => status.set(index, ["none", data.frontiers ? `on no frontier: ${data.points[index].off}` : "-"]));
    return [...status].map(([index, [kind, standing]]) => {
      return { ...data.points[index], index, status: kind, standing, label: label(found, index) };
    });
  }

  function label(found, index) {
    const number = String(found.frontier.indexOf(index) + 1);
    if (found.named.includes(index) && get("chart").clientWidth >= NARROW) {
      const { model, mark } = data.points[index];
      return `${number} ${model}${mark}`;
    }
    return [...found.named, ...found.numbered].includes(index) ? number : "";
  }

  // --- The chart.
  async function draw() {
    const found = selection();
    const points = chartPoints(found);
    get("nothing").hidden = points.length > 0;
    get("chart").hidden = points.length === 0;
    if (points.length === 0) return;
    // A line of one point is invisible, and unlike an empty one it has an extent.
    const corners = found.frontier.length > 0 ? found.frontier : [points[0].index];
    const stairs = corners.map((index) => {
      return { median: data.points[index].median, accuracy: data.points[index].accuracy };
    });
    const arrows = data.frontiers ? arrowsBetween(points) : [];
    const width = get("chart").clientWidth;
    if (!view) {
      const specification = filled({ points, stairs, arrows }, { lowest: lowest(points), width });
      view = vegaEmbed(get("chart"), specification, EMBED).then((result) => result.view);
      await view;
      return;
    }
    const drawn = await view;
    drawn.data("points", points).width(width);
    if (data.frontiers) drawn.data("stairs", stairs).data("arrows", arrows).signal("lowest", lowest(points));
    await drawn.runAsync();
  }

  // From the point of each model in fp32 to those in other precisions, where both are shown.
  function arrowsBetween(points) {
    const shown = new Set(points.map((point) => point.index));
    const pairs = data.twins.filter((pair) => pair.every((index) => shown.has(index)));
    if (pairs.length === 0) pairs.push([points[0].index, points[0].index]); // invisible, but unlike nothing it has an extent
    return pairs.map(([index, twin]) => {
      const [to, from] = [data.points[index], data.points[twin]];
      return {
        median: from.median, accuracy: from.accuracy, median2: to.median, accuracy2: to.accuracy,
        middle: Math.sqrt(from.median * to.median), middle2: (from.accuracy + to.accuracy) / 2,
      };
    });
  }

  // The chart's specification with its first data in it: scales of empty data would be warned about.
  function filled(values, signals) {
    const chart = structuredClone(data.chart);
    for (const source of chart.data) if (values[source.name]) source.values = values[source.name];
    for (const signal of chart.signals || []) if (signal.name === "lowest") signal.value = signals.lowest;
    return { ...chart, width: signals.width };
  }

  function lowest(points) {
    const fastest = Math.min(...points.map((point) => point.low));
    const slowest = Math.max(...points.map((point) => point.high));
    const share = get("chart").clientWidth >= NARROW ? data.left_share : 0.06;
    return fastest / Math.max(slowest / fastest, 1.5) ** (share / (1 - share));
  }

  // --- The same in words.
  const difference = (a, b) => (Math.abs(a - b) < 0.005 ? "equal accuracy" : `${Math.abs(a - b).toFixed(2)} higher accuracy`);

  function item(words) {
    const li = document.createElement("li");
    li.textContent = words;
    return li;
  }

  function say(found) {
    const shown = (index) => data.points[index];
    const beaten = ([index, by]) => {
      const faster = (100 * (1 - shown(by).median / shown(index).median)).toFixed(0);
      const gain = difference(shown(by).accuracy, shown(index).accuracy);
      return `${shown(index).name}, ${shown(index).latency_text}: dominated by ${shown(by).name}, ${faster} % faster at ${gain}`;
    };
    get("frontier").replaceChildren(...found.frontier.map((index) => {
      const { accuracy, mark, name, latency_text: latency } = shown(index);
      return item(`Fastest at ≥ ${Number(accuracy.toPrecision(4))}${mark} (${data.metrics[Number(state.accuracy)]}): ${name}, ${latency}`);
    }));
    get("ties").replaceChildren(...found.tie.map(([index, by]) => {
      return item(`${shown(index).name}, ${shown(index).latency_text}, ${shown(index).accuracy_text}: not told apart from ${shown(by).name}, ${shown(by).latency_text}, ${shown(by).accuracy_text}`);
    }));
    get("ties-part").hidden = found.tie.length === 0;
    const rest = found.other.map((index) => `${shown(index).name}, ${shown(index).latency_text}: ${shown(index).off || shown(index).verdict_text}`);
    get("others").replaceChildren(...found.dominated.map(beaten).concat(rest).map(item));
    get("others-summary").textContent = `${found.dominated.length} dominated, ${found.other.length} shown hollow (on no frontier)`;
    get("others-part").hidden = found.dominated.length + found.other.length === 0;
    get("sentences").hidden = !data.frontiers;
    get("statement").textContent = data.statements[Number(state.accuracy)] || "";
  }

  // --- The table.
  const body = get("rows").tBodies[0];
  const lines = [...body.rows].map((tr, order) => ({ tr, order, words: tr.textContent.toLowerCase() }));
  const headers = [...get("rows").tHead.rows[0].cells];

  function value(tr, column) {
    const cell = tr.cells[column];
    return headers[column].classList.contains("number") ? Number.parseFloat(cell.dataset.v) : cell.textContent.toLowerCase();
  }

  function compare(a, b, column, sign) {
    const [x, y] = [value(a.tr, column), value(b.tr, column)];
    const [noX, noY] = [x, y].map((v) => v === "" || v === "-" || Number.isNaN(v));
    if (noX || noY) return noX - noY || a.order - b.order; // unknown comes last in both directions
    return (x < y ? -sign : x > y ? sign : 0) || a.order - b.order;
  }

  function sortTable() {
    const [column, direction] = [Number.parseInt(state.sort, 10), state.sort.endsWith("d") ? -1 : 1];
    const known = column >= 0 && column < headers.length;
    headers.forEach((th, index) => {
      th.setAttribute("aria-sort", known && index === column ? (direction < 0 ? "descending" : "ascending") : "none");
    });
    const order = (a, b) => (known ? compare(a, b, column, direction) : a.order - b.order);
    body.append(...[...lines].sort(order).map((line) => line.tr));
  }

  function filterTable() {
    const wanted = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const points = new Set(members(selection()).map(String));
    let count = 0;
    for (const { tr, words } of lines) {
      const shown = wanted.every((word) => words.includes(word)) && (!state.only || (tr.dataset.p || "").split(" ").some((p) => points.has(p)));
      tr.hidden = !shown;
      count += shown;
    }
    get("count").textContent = `${count} of ${lines.length} rows`;
  }

  function show() {
    say(selection());
    sortTable();
    filterTable();
    return draw();
  }

  function change(key, to) {
    state[key] = to;
    writeHash();
    show();
  }

  for (const field of fields) get(`select-${field}`)?.addEventListener("change", (event) => change(field, event.target.value));
  get("selectors").addEventListener("submit", (event) => event.preventDefault());
  get("filter").addEventListener("input", (event) => change("q", event.target.value));
  get("only").addEventListener("change", (event) => change("only", event.target.checked ? "1" : ""));
  headers.forEach((th, index) => th.querySelector("button").addEventListener("click", () => {
    change("sort", state.sort === `${index}a` ? `${index}d` : `${index}a`);
  }));
  addEventListener("beforeprint", () => { get("others-part").open = true; });
  addEventListener("hashchange", () => { readHash(); show(); });
  let pending = 0;
  addEventListener("resize", () => { cancelAnimationFrame(pending); pending = requestAnimationFrame(draw); });
  readHash();
  show().then(() => { document.documentElement.dataset.ready = "1"; });
})();
