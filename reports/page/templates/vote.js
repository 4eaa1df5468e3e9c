"use strict";
(() => {
  const { ballot, pairs } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id), kept = `sora-eval-vote-${ballot}`;
  let state = null, at = 0, since = 0, clock = 0, last = 0, paused = false, pictures = [];

  // Order and sides are drawn for every voter, half of the pairs on either side, and stay when the page is opened again.
  const random = () => crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32;
  const shuffled = (n) => {
    const places = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) { const j = Math.floor(random() * (i + 1)); [places[i], places[j]] = [places[j], places[i]]; }
    return places;
  };
  const fresh = (voter) => {
    const half = shuffled(pairs.length), odd = random() < 0.5 ? 1 : 0;
    return { voter, order: shuffled(pairs.length), swapped: pairs.map((_, i) => (half[i] + odd) % 2 === 1), votes: {} };
  };
  const stored = () => {
    try {
      const value = JSON.parse(localStorage.getItem(kept));
      return value && Array.isArray(value.order) && value.order.length === pairs.length ? value : null;
    } catch { return null; }  // a browser may give a file no storage; then the page is for one sitting
  };
  const store = () => { try { localStorage.setItem(kept, JSON.stringify(state)); } catch { /* the same */ } };

  const sides = () => {
    const i = state.order[at], [a, b] = pairs[i].clips;
    return { pair: pairs[i], left: state.swapped[i] ? b : a, right: state.swapped[i] ? a : b };
  };
  const show = () => {
    const done = at >= pairs.length;
    $("start").hidden = true; $("ask").hidden = done; $("end").hidden = !done;
    const count = Object.keys(state.votes).length;
    if (done) { $("total").textContent = `${count} of ${pairs.length} pairs have your vote.`; return; }
    const { pair, left, right } = sides(), vote = state.votes[pair.case];
    $("progress").textContent = `${at + 1} of ${pairs.length}`;
    $("prompt").textContent = pair.prompt;
    const hidden = left.numbers[left.numbers.length - 1] + 1 - left.numbers.length;
    $("note").textContent = hidden ? `${hidden} frames of these long clips are left out.` : "";
    document.querySelectorAll("[data-choice]").forEach((b) => b.setAttribute("aria-pressed", String(!!vote && vote.choice === b.dataset.choice)));
    pictures = [left, right].map((clip, i) => {
      const canvas = $(i ? "right" : "left"), picture = new Image();
      canvas.width = clip.width; canvas.height = clip.height;
      picture.onload = () => draw();
      picture.src = clip.uri;
      return { clip, canvas, picture };
    });
    since = performance.now(); clock = 0;
  };
  const draw = () => {
    for (const { clip, canvas, picture } of pictures) {
      if (!picture.complete || !picture.naturalWidth) continue;
      const length = clip.numbers[clip.numbers.length - 1] + 1, now = Math.floor(clock * clip.fps) % length;
      let i = 0;
      while (i + 1 < clip.numbers.length && clip.numbers[i + 1] <= now) i++;
      canvas.getContext("2d").drawImage(picture, (i % clip.columns) * clip.width, Math.floor(i / clip.columns) * clip.height, clip.width, clip.height, 0, 0, clip.width, clip.height);
      canvas.dataset.frame = clip.numbers[i];
    }
  };
  const tick = (time) => {
    // Both play only when both are there, from the same moment.
    if (!paused && pictures.every((p) => p.picture.complete)) clock += Math.min((time - last) / 1000, 0.25);
    last = time;
    draw();
    requestAnimationFrame(tick);
  };
  const choose = (choice) => {
    const { pair, left, right } = sides();
    state.votes[pair.case] = {
      version: 1, ballot, case: pair.case, left: left.sha256, right: right.sha256, choice,
      voter: state.voter, seconds: Math.round(performance.now() - since) / 1000, at: new Date().toISOString(),
    };
    at += 1; store(); show();
  };
  const back = () => { if (at > 0) { at -= 1; show(); } };
  const pause = () => { paused = !paused; $("pause").textContent = paused ? "Play" : "Pause"; };
  const save = () => {
    const lines = state.order.map((i) => state.votes[pairs[i].case]).filter(Boolean).map((v) => JSON.stringify(v) + "\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
    link.download = `votes-${state.voter.replace(/[^A-Za-z0-9_-]+/g, "_").slice(0, 40)}-${ballot}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  $("start").addEventListener("submit", (event) => {
    event.preventDefault();
    const voter = $("voter").value.trim(), before = stored();
    if (!voter) return;
    state = before && before.voter === voter ? before : fresh(voter);
    const open = state.order.findIndex((i) => !state.votes[pairs[i].case]);
    at = open < 0 ? pairs.length : open;
    store(); show(); document.activeElement.blur();
  });
  document.querySelectorAll("[data-choice]").forEach((b) => b.addEventListener("click", () => { choose(b.dataset.choice); b.blur(); }));
  $("back").addEventListener("click", back); $("return").addEventListener("click", back);
  $("pause").addEventListener("click", () => { pause(); $("pause").blur(); });
  document.querySelectorAll(".save").forEach((b) => b.addEventListener("click", save));
  const keys = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie" };
  document.addEventListener("keydown", (event) => {
    if (!state || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const asking = !$("ask").hidden;
    if (asking && keys[event.key]) choose(keys[event.key]);
    else if (event.key === "ArrowUp") back();
    else if (asking && event.key === " " && document.activeElement === document.body) pause();
    else return;
    event.preventDefault();
  });
  const before = stored();
  if (before) $("voter").value = before.voter;
  requestAnimationFrame(tick);
  document.documentElement.dataset.ready = "";
})();
