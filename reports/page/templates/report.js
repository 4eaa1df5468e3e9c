"use strict";
// The page works without charts; every text from a run is set as text, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const views = {};
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  // Charts: drawn when they are first seen, redrawn with other rows.
  function draw(id, spec, rows, more = {}) {
    const element = typeof id === "string" ? $(id) : id;
    if (!element) return;
    const { field, step, more: axes } = spec.height;
    const height = field ? step * new Set(rows.map((r) => r[field])).size + axes : spec.height;
    const known = views[element.id];
    if (known) {
      known.then((view) => {
        view.data("rows", rows).height(height);
        for (const name in more) view.data(name, more[name]);
        view.resize().runAsync();
      });
      return;
    }
    const full = { ...spec, height, datasets: { rows, ...more } };
    views[element.id] = vegaEmbed(element, full, { actions: false, renderer: "svg", ast: false }).then((r) => {
      element.setAttribute("role", "img");
      element.setAttribute("aria-label", element.parentElement.querySelector("figcaption, h3")?.textContent ?? element.id);
      element.querySelector("svg")?.setAttribute("aria-hidden", "true");
      return r.view;
    });
    views[element.id].catch((error) => console.error(error));
  }
  function whenSeen(element, then) {
    if (!element) return;
    const watcher = new IntersectionObserver((entries) => {
      if (entries.some((e) => e.isIntersecting)) { watcher.disconnect(); then(); }
    }, { rootMargin: "300px" });
    watcher.observe(element);
  }
  function fill(select, values, titles = values) {
    if (select) values.forEach((v, i) => select.add(new Option(titles[i], v)));
  }
  const number = (v) => v === null || v === undefined ? "-" : Math.abs(v) >= 1e-4 && Math.abs(v) < 1e5 || v === 0 ? String(Number(v.toPrecision(4))) : v.toExponential(2);

  // Sections fold; on a phone all but the first are closed. What a link leads to is opened.
  const small = matchMedia("(max-width: 760px)").matches, folds = [...document.querySelectorAll("details.fold")];
  if (small) folds.forEach((fold) => { fold.open = false; });
  function reveal(id) {
    const target = id && $(id);
    if (!target) return;
    target.querySelector("details.fold")?.setAttribute("open", "");
    if (target.matches(".card")) { target.hidden = false; target.focus({ preventScroll: true }); }
    target.scrollIntoView({ block: target.matches(".card") ? "center" : "start" });
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (link) setTimeout(() => reveal(link.hash.slice(1)));
  });
  const drawn = (element) => !element?.closest("details:not([open])");

  // Table: filters and sorting.
  const body = $("table").tBodies[0];
  const lines = [...body.rows];
  const filters = $("filters");
  const chosen = (id) => $(id)?.value ?? "";
  const slices = ["shape", "length", "tag"];
  function visible(line) {
    const d = line.dataset, kind = slices.find((k) => chosen(`f-${k}`));
    const slice = kind ? d.kind === kind && d.slice === chosen(`f-${kind}`) : "overall" in d;
    return slice && ["family", "run", "verdict"].every((k) => !chosen(`f-${k}`) || d[k] === chosen(`f-${k}`))
      && line.cells[0].textContent.toLowerCase().includes(chosen("f-text").toLowerCase());
  }
  function filter() {
    lines.forEach((line) => { line.hidden = !visible(line); });
    const shown = [...body.rows].filter((line) => !line.hidden);
    $("shown").textContent = `${shown.length} rows`;
    const last = [...($("f-run")?.options ?? [])].at(-1)?.value;  // of several runs the plot shows one
    const rows = shown.filter((l) => !last || l.dataset.run === (chosen("f-run") || last)).map((l) => data.rows[l.dataset.row]).filter(Boolean);
    if ($("forest") && drawn($("forest"))) {
      $("forest").parentElement.hidden = rows.length === 0;
      if (rows.length) draw("forest", data.specs.forest, rows);
    }
    scatter();
  }
  filters.addEventListener("input", (event) => {
    const kind = event.target.id?.slice(2);
    if (slices.includes(kind) && event.target.value) slices.filter((k) => k !== kind).forEach((k) => { if ($(`f-${k}`)) $(`f-${k}`).value = ""; });
    filter();
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(filter));
  document.querySelectorAll("#table th[data-sort]").forEach((head) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending", at = head.cellIndex;
      document.querySelectorAll("#table th").forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (line) => head.dataset.sort === "number" ? line.cells[at].dataset.value : line.cells[at].textContent.trim();
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === "");  // nothing is always last
        const by = head.dataset.sort === "number" ? x - y : x.localeCompare(y);
        return up ? by : -by;
      };
      body.append(...[...lines].sort(order));
      filter();
    });
  });

  // By prompt.
  const cases = data.cases, metrics = Object.keys(cases.metrics);
  const first = lines.map((l) => l.dataset.metric).find((m) => metrics.includes(m)) ?? metrics[0];
  fill($("s-metric"), metrics);
  if ($("s-metric") && first) $("s-metric").value = first;
  function scatter() {
    const metric = chosen("s-metric");
    if (!metric || !cases.metrics[metric].base || !drawn($("scatter"))) return;
    const { base, new: fresh } = cases.metrics[metric], prompts = new Map();
    cases.ids.forEach((_, i) => {
      if (base[i] === null || fresh[i] === null) return;
      if (chosen("f-shape") && cases.shape[i] !== chosen("f-shape")) return;
      if (chosen("f-length") && cases.length[i] !== chosen("f-length")) return;
      if (chosen("f-tag") && !cases.tags[i].includes(chosen("f-tag"))) return;
      const sum = prompts.get(cases.prompt[i]) ?? { base: 0, new: 0, n: 0 };
      sum.base += base[i]; sum.new += fresh[i]; sum.n += 1;
      prompts.set(cases.prompt[i], sum);
    });
    const better = data.better[metric];
    const rows = [...prompts].map(([p, s]) => {
      const change = (s.new - s.base) / s.n;
      const tone = better === null || change === 0 ? "none" : (change > 0) === better ? "good" : "bad";
      return { prompt: cases.prompts[p], base: s.base / s.n, new: s.new / s.n, n: s.n, tone };
    });
    const ends = rows.flatMap((r) => [r.base, r.new]);
    const diagonal = rows.length ? [Math.min(...ends), Math.max(...ends)].map((v) => ({ base: v, new: v })) : [];
    const count = (t) => rows.filter((r) => r.tone === t).length;
    $("s-count").textContent = `${rows.length} prompts: ${count("good")} better, ${count("bad")} worse, ${count("none")} neither`;
    draw("scatter", data.specs.scatter, rows, { diagonal });
  }
  $("s-metric")?.addEventListener("input", scatter);
  folds.forEach((fold) => fold.addEventListener("toggle", () => { if (fold.open) filter(); }));

  // Prompt by metric: how each prompt stands in every column, in which clips are looked for from.
  const ROWS_SHOWN = 40;
  const paired = metrics.some((m) => cases.metrics[m].base);
  function standing(metric) {
    const own = cases.metrics[metric], sign = data.better[metric] === false ? -1 : 1, sums = new Map();
    cases.ids.forEach((_, i) => {
      const value = own.new[i] === null || paired && (!own.base || own.base[i] === null) ? null : own.new[i] - (paired ? own.base[i] : 0);
      if (value === null) return;
      const sum = sums.get(cases.prompt[i]) ?? { total: 0, n: 0, worst: Infinity, at: i };
      sum.total += value; sum.n += 1;
      if (sign * value < sum.worst) { sum.worst = sign * value; sum.at = i; }
      sums.set(cases.prompt[i], sum);
    });
    const means = [...sums.values()].map((s) => s.total / s.n), middle = paired ? 0 : means.reduce((a, b) => a + b, 0) / (means.length || 1);
    const spread = Math.sqrt(means.reduce((a, b) => a + (b - middle) ** 2, 0) / (means.length || 1)) || 1;
    for (const s of sums.values()) { s.value = s.total / s.n; s.tone = data.better[metric] === null ? null : sign * (s.value - middle) / spread; }
    return sums;
  }
  function map(all) {
    const columns = metrics.map((m) => [m, standing(m)]).filter(([, sums]) => sums.size);
    if (!$("map") || !columns.length) return;
    const badness = (p) => columns.reduce((sum, [, sums]) => sum + Math.min(0, sums.get(p)?.tone ?? 0), 0);
    const order = cases.prompts.map((_, p) => [p, badness(p)]).sort((a, b) => a[1] - b[1]).map(([p]) => p), shown = all ? order : order.slice(0, ROWS_SHOWN);
    const head = document.createElement("tr"), corner = document.createElement("td");
    head.append(corner);
    for (const [m] of columns) {
      const th = document.createElement("th"), name = document.createElement("span");
      th.scope = "col"; name.textContent = m; th.append(name); head.append(th);
    }
    $("map").tHead.replaceChildren(head);
    $("map").tBodies[0].replaceChildren(...shown.map((p) => {
      const row = document.createElement("tr"), th = document.createElement("th");
      th.scope = "row"; th.textContent = cases.prompts[p]; row.append(th);
      for (const [m, sums] of columns) {
        const td = document.createElement("td"), s = sums.get(p);
        if (s) {
          const button = document.createElement("button"), card = cards.find((c) => c.index === s.at) ?? cards.find((c) => cases.prompt[c.index] === p);
          button.type = "button";
          const text = `${m}: ${paired && s.value > 0 ? "+" : ""}${number(s.value)} of ${cases.prompts[p]}${card ? "" : "; its clip is not in the gallery (--clips)"}`;
          button.setAttribute("aria-label", text); button.dataset.why = text;
          if (s.tone !== null) {
            button.style.setProperty("--much", `${Math.round(Math.min(1, Math.abs(s.tone) / 2.5) * 90)}%`);
            button.className = s.tone < 0 ? "low" : "high";
          }
          if (card) button.addEventListener("click", () => reveal(card.element.id)); else button.setAttribute("aria-disabled", "true");
          td.append(button);
        }
        row.append(td);
      }
      return row;
    }));
    $("map-count").textContent = `${shown.length} of ${order.length} prompts, the worst first.`;
    $("map-all").hidden = shown.length === order.length;
  }
  $("map-all")?.addEventListener("click", () => map(true));

  // Clips: one clock for all players of a card, sprites drawn frame by frame. Larger, a card is as wide as the page, and plays
  // the videos beside the page where there are any.
  const overlays = () => $("g-tracks")?.checked ?? true;
  const cards = [...document.querySelectorAll(".card")].map((element, i) => new Card(element, data.cards[i]));
  function Card(element, own) {
    const range = element.querySelector("input[type=range]"), button = element.querySelector(".play");
    const laws = element.querySelector(".laws"), shown = element.querySelector(".frame");
    const players = own.players.flatMap((p, i) => {
      if (!p.sprite) return [];
      const figure = element.querySelectorAll(".player")[i], canvas = figure.querySelector("canvas"), picture = new Image();
      const scale = Math.max(1, Math.round(256 / p.sprite.width));  // tracks are drawn finer than the pixels of a small clip
      canvas.width = p.sprite.width * scale; canvas.height = p.sprite.height * scale;
      const strip = p.sprite.numbers.map((n) => {
        const cell = document.createElement("span");
        if (Object.values(p.broken).some((f) => f.includes(n))) cell.className = "b";
        return cell;
      });
      figure.querySelector(".strip").append(...(Object.keys(p.broken).length ? strip : []));
      return [{ ...p, canvas, picture, scale, strip }];
    });
    const frames = Math.max(0, ...players.map((p) => p.sprite.numbers.length)), fps = players[0]?.sprite.fps ?? 8;
    // Frames that were left out of a long clip take their time all the same.
    const rate = players[0] ? fps * frames / (players[0].sprite.numbers.at(-1) + 1) : 8;
    let at = 0, playing = false, last = 0;
    const videos = () => element.classList.contains("large") ? [...element.querySelectorAll("video")] : [];
    element.tabIndex = -1;
    range.max = Math.max(0, frames - 1);
    element.querySelector(".controls").hidden = frames === 0;
    element.classList.toggle("nolaws", !players.some((p) => Object.keys(p.broken).length));
    const paint = () => {
      const broken = [];
      for (const p of players) {
        const { sprite } = p, i = Math.min(at, sprite.numbers.length - 1), n = sprite.numbers[i], context = p.canvas.getContext("2d");
        context.imageSmoothingEnabled = false;
        context.drawImage(p.picture, (i % sprite.columns) * sprite.width, Math.floor(i / sprite.columns) * sprite.height, sprite.width, sprite.height, 0, 0, p.canvas.width, p.canvas.height);
        const names = Object.keys(p.broken).filter((law) => p.broken[law].includes(n));
        if (overlays()) for (const colour in sprite.tracks) track(context, p, colour, i, names.length > 0);
        p.canvas.classList.toggle("broken", names.length > 0 && overlays());
        p.canvas.dataset.frame = n;
        p.strip.forEach((cell, k) => cell.classList.toggle("now", k === i));
        if (names.length) broken.push(`${p.label} breaks ${names.join(", ").replaceAll("_", " ")}`);
      }
      range.value = at;
      shown.textContent = players.length ? `frame ${players[0].sprite.numbers[at] ?? at}` : "";
      videos().forEach((v) => {
        const time = (players[0].sprite.numbers[at] ?? at) / fps;
        if (v.readyState && Math.abs(v.currentTime - time) > (playing ? 0.3 : 0.01)) v.currentTime = time;
      });
      laws.textContent = overlays() ? broken.join("; ") : "";
    };
    const tick = (now) => {
      if (!playing) return;
      if (now - last > 1000 / rate) { last = now; at = (at + 1) % frames; paint(); }
      requestAnimationFrame(tick);
    };
    this.play = (on) => {
      if (on && !playing && frames > 1) { playing = true; requestAnimationFrame(tick); } else if (!on) playing = false;
      videos().forEach((v) => { if (playing) v.play().catch(() => {}); else v.pause(); });
      button.setAttribute("aria-label", playing ? "Pause" : "Play");
    };
    const larger = () => {
      const on = element.classList.toggle("large");
      players.forEach((p) => {
        let video = p.canvas.parentElement.querySelector("video");
        if (on && p.video && !video) {
          video = document.createElement("video");
          Object.assign(video, { src: p.video, muted: true, loop: true, playsInline: true, preload: "auto" });
          video.setAttribute("aria-label", `video of ${p.label}`);
          video.addEventListener("loadeddata", () => { p.canvas.hidden = element.classList.contains("large"); paint(); if (playing) video.play().catch(() => {}); });
          video.addEventListener("click", larger);
          p.canvas.after(video);
        }
        if (video && !on) { video.remove(); p.canvas.hidden = false; }
      });
      element.scrollIntoView({ block: "nearest" });
    };
    players.forEach((p) => {
      p.canvas.addEventListener("click", larger);
      p.canvas.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); larger(); } });
    });
    this.paint = paint;
    this.thumb = () => players.at(-1);
    this.element = element; this.index = own.case; this.wants = !still;
    button.addEventListener("click", () => { this.wants = !playing; this.play(this.wants); });
    range.addEventListener("input", () => { this.wants = false; this.play(false); at = Number(range.value); paint(); });
    const load = () => Promise.all(players.map((p) => { p.picture.src = p.sprite.uri; return p.picture.decode(); })).then(() => { this.loaded = true; paint(); });
    new IntersectionObserver((entries) => {
      const seen = entries.at(-1).isIntersecting;
      if (seen && !this.ready) this.ready = load();
      this.ready?.then(() => this.play(seen && this.wants));
    }, { rootMargin: "80px" }).observe(element);
  }
  function track(context, p, colour, until, broken) {
    const zoom = p.canvas.width / p.sprite.clip_width, points = p.sprite.tracks[colour];
    const line = () => {
      context.beginPath();
      let open = false;
      for (let i = 0; i <= until; i++) {
        const q = points[i];
        if (!q) { open = false; continue; }
        context[open ? "lineTo" : "moveTo"](q[0] * zoom, q[1] * zoom);
        open = true;
      }
    };
    context.lineJoin = context.lineCap = "round";
    for (const [width, style] of [[5, "#000a"], [2.5, "#fff"]]) { line(); context.lineWidth = width; context.strokeStyle = style; context.stroke(); }
    p.sprite.numbers.slice(0, until + 1).forEach((n, i) => {
      const q = points[i];
      if (!q || !Object.values(p.broken).some((f) => f.includes(n))) return;
      context.beginPath(); context.arc(q[0] * zoom, q[1] * zoom, 3.2, 0, 7); context.fillStyle = "#ff4d4d"; context.fill();
    });
    const q = points[until];
    if (q) { context.beginPath(); context.arc(q[0] * zoom, q[1] * zoom, 7, 0, 7); context.lineWidth = 3; context.strokeStyle = broken ? "#ff4d4d" : "#fff"; context.stroke(); }
  }
  // The worst clips of a family, each at the middle of its time.
  document.querySelectorAll(".thumb").forEach((link) => {
    const player = cards[link.dataset.card]?.thumb();
    if (!player) { link.hidden = true; return; }
    const { sprite } = player, canvas = link.querySelector("canvas"), picture = new Image(), i = Math.floor(sprite.numbers.length / 2);
    canvas.width = sprite.width; canvas.height = sprite.height;
    whenSeen(link, () => {
      picture.src = sprite.uri;
      picture.decode().then(() => canvas.getContext("2d").drawImage(picture, (i % sprite.columns) * sprite.width, Math.floor(i / sprite.columns) * sprite.height, sprite.width, sprite.height, 0, 0, sprite.width, sprite.height));
    });
  });
  const CARDS_SHOWN = small ? 4 : Infinity;
  if (cards.length) {
    const orders = Object.keys(data.orders).filter((o) => paired || !["worsened", "improved"].includes(o));
    fill($("g-order"), orders, orders.map((o) => data.orders[o]));
    fill($("g-metric"), metrics);
    if (first) $("g-metric").value = first;
    let all = false;
    $("g-more").addEventListener("click", () => { all = true; arrange(); });
    const arrange = () => {
      const metric = chosen("g-metric"), order = chosen("g-order"), own = cases.metrics[metric];
      if (!own) return;
      const sign = data.better[metric] === false ? -1 : 1;
      const change = (i) => own.base && own.base[i] !== null && own.new[i] !== null ? own.new[i] - own.base[i] : null;
      const key = (card) => {
        const v = ["worsened", "improved"].includes(order) ? change(card.index) : own.new[card.index];
        return v === null ? Infinity : sign * v * (["improved", "best"].includes(order) ? -1 : 1);
      };
      const sorted = [...cards].sort((a, b) => key(a) - key(b));
      sorted.forEach((c, i) => { c.element.hidden = !all && i >= CARDS_SHOWN; });
      $("g-more").hidden = all || cards.length <= CARDS_SHOWN;
      $("gallery").append(...sorted.map((c) => c.element));
      for (const card of cards) {
        const i = card.index, by = change(i), score = card.element.querySelector(".score");
        score.textContent = `${metric}: ${own.base ? `${number(own.base[i])} → ` : ""}${number(own.new[i])}${by === null ? "" : ` (${by > 0 ? "+" : ""}${number(by)})`}`;
        score.style.color = by === null || by === 0 || data.better[metric] === null ? "" : (by > 0) === data.better[metric] ? "var(--good)" : "var(--bad)";
      }
      $("g-count").textContent = `${cards.length} cases`;
    };
    $("g-order").addEventListener("input", arrange);
    $("g-metric").addEventListener("input", arrange);
    $("g-tracks").addEventListener("input", () => cards.forEach((c) => c.loaded && c.paint()));
    $("g-play").addEventListener("click", () => {
      const on = $("g-play").getAttribute("aria-pressed") !== "true";
      setAll(on);
      cards.forEach((c) => { c.wants = on; c.loaded && c.play(on); });
    });
    const setAll = (on) => { $("g-play").setAttribute("aria-pressed", on); $("g-play").textContent = on ? "Pause all" : "Play all"; };
    setAll(!still);
    arrange();
  }

  // Speed, curves, selfcheck.
  const heats = data.speed.heat;
  if (heats.length) {
    fill($("h-what"), heats.map((h) => h.what));
    const lengths = [...new Set(heats.flatMap((h) => h.rows.map((r) => String(r.frames))))];
    fill($("h-length"), lengths, lengths.map((l) => `${l} frames`));
    $("h-what").value = heats.at(-1).what;
    $("h-length").value = lengths.at(-1);
    const heat = () => {
      const own = heats.find((h) => h.what === chosen("h-what")), id = own.ratio ? "ratio" : "heat";
      for (const name of ["heat", "ratio"]) $(name).hidden = name !== id;
      draw(id, data.specs[id], own.rows.filter((r) => String(r.frames) === chosen("h-length")));
    };
    $("h-what").addEventListener("input", heat);
    $("h-length").addEventListener("input", heat);
    whenSeen($("heat").parentElement, heat);
    whenSeen($("tokens"), () => draw("tokens", data.specs.tokens, data.speed.tokens));
  }
  (data.curves.metrics ?? []).forEach((metric, i) => {
    const figure = document.createElement("figure"), title = document.createElement("h3"), chart = document.createElement("div");
    title.textContent = metric.name;
    chart.id = `curve-${i}`; chart.className = "chart";
    figure.append(title, chart);
    $("curve-grid").append(figure);
    whenSeen(chart, () => draw(chart, data.specs.curve, metric.rows));
  });
  if (data.selfcheck.length) whenSeen($("check"), () => draw("check", data.specs.selfcheck, data.selfcheck));

  // Reasons of verdicts, for pointer, finger and keyboard.
  const tip = document.createElement("div");
  tip.id = "tip"; tip.setAttribute("role", "tooltip"); tip.hidden = true;
  document.body.append(tip);
  const hint = (event) => {
    const target = event.target.closest?.("[data-why]");
    tip.hidden = !target?.dataset.why;
    if (tip.hidden) return;
    tip.textContent = target.dataset.why;
    const box = target.getBoundingClientRect(), page = document.documentElement.clientWidth;
    tip.style.top = `${scrollY + box.bottom + 6}px`;
    tip.style.left = `${Math.max(8, Math.min(box.left, page - tip.offsetWidth - 12))}px`;
  };
  for (const kind of ["mouseover", "focusin", "click"]) document.addEventListener(kind, hint);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  filter();
  map(false);
  document.documentElement.dataset.ready = "true";
})();
