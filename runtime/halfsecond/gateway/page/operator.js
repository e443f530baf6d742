// The operator's page: what visitors waited, what the machine does, and a restart.

import { fetchJson, takeToken } from "./link.js";

const EVERY_MS = 1000;
const ARMED_MS = 4000;
const NAMES = {
  first_audio_sent: "first sound sent",
  first_frame_sent: "first moving picture sent",
  page_first_audio: "first sound at the loudspeaker",
  page_first_frame: "first moving picture on screen",
};
const find = (selector) => document.querySelector(selector);
const token = takeToken();

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function showWaits(waits) {
  const cards = Object.keys(NAMES)
    .filter((name) => waits[name])
    .map((name) => {
      const { p50, p95, n } = waits[name];
      const card = element("div");
      const figure = element("b", Math.round(p50));
      figure.append(element("small", ` ms, p95 ${Math.round(p95)}`));
      card.append(figure, element("span", `${NAMES[name]}, ${n} turns`));
      return card;
    });
  if (cards.length === 0) cards.push(element("p", "No spoken question yet.", "empty"));
  find("#waits .cards").replaceChildren(...cards);
}

/** Rows of stages from the last speech sample on, with the moments that a visitor notices. */
function showTurn(record) {
  if (!record) return;
  const { spans, marks } = record.timeline;
  const shown = spans.filter((span) => !["dropped", "pause"].includes(span.stage));
  const moments = { ...marks, ...record.stamps };
  const until = Math.max(0.6, ...["page_first_frame", "page_first_audio", "first_frame_sent"].map((m) => moments[m] ?? 0)) * 1.15;
  const from = Math.min(0, ...shown.map((span) => span.start_s));
  const place = (s) => (100 * (Math.min(s, until) - from)) / (until - from);
  const stages = [...new Set(shown.map((span) => span.stage.replace(".queue", "")))];
  const rows = stages.map((stage) => {
    const row = element("div", "", "row");
    const track = element("div", "", "track");
    const own = shown.filter((span) => span.stage.replace(".queue", "") === stage && span.start_s < until);
    for (const { stage: name, start_s, end_s } of own) {
      const bar = element("i", "", name.endsWith(".queue") ? "is-queue" : "");
      bar.style.left = `${place(start_s)}%`;
      bar.style.width = `${place(end_s) - place(start_s)}%`;
      track.append(bar);
    }
    const first = own.find((span) => span.stage === stage);
    const lasted = first ? `${Math.round(1000 * (first.end_s - first.start_s))} ms` : "";
    row.append(element("span", stage), track, element("span", lasted));
    return row;
  });
  for (const [name, label] of [["endpoint", "end of turn"], ["first_audio_sent", "sound sent"], ["page_first_audio", "heard"], ["page_first_frame", "seen"]]) {
    if (moments[name] === undefined) continue;
    const row = element("div", "", "row");
    const track = element("div", "", "track");
    const line = element("u");
    line.style.left = `${place(moments[name])}%`;
    track.append(line);
    row.append(element("span", label), track, element("span", `${Math.round(1000 * moments[name])} ms`));
    rows.push(row);
  }
  find("#waterfall").replaceChildren(...rows);
}

function showList(id, rows) {
  const shown = rows.filter(([, value]) => value !== undefined && value !== null);
  find(id).replaceChildren(
    ...shown.map(([name, value]) => {
      const row = element("div");
      row.append(element("dt", name), element("dd", value));
      return row;
    }),
  );
}

const gigabytes = (mb) => `${(mb / 1000).toFixed(1)} GB`;

function showMachine(machine) {
  const heat = Object.entries(machine.temperatures_c).map(([name, c]) => [`temperature, ${name}`, `${c.toFixed(0)} °C`]);
  showList("#machine", [
    ["processor", machine.name],
    ["cores", `${machine.cores}, load ${machine.load_1m.toFixed(2)}`],
    ["memory available", `${gigabytes(machine.memory_available_mb)} of ${gigabytes(machine.memory_mb)}`],
    ["disk free", gigabytes(machine.disk_free_mb)],
    ...(heat.length ? heat : [["temperature", "no sensor"]]),
    ["devices", machine.devices.join(", ") || "no GPU or sound card"],
  ]);
}

function signed(s) {
  const ms = Math.round(1000 * s);
  return `${ms < 0 ? "−" : ms > 0 ? "+" : ""}${Math.abs(ms)} ms`;
}

/** Sound against lips, where a face has spoken; positive: the sound is ahead. */
function lips(server) {
  if (!server?.["av_offset_seconds_count sent"]) return [];
  const off = server.lips_off_total;
  return [
    ["sound ahead of the lips", `${signed(server.av_offset_now_seconds)}, drift ${signed(server.av_drift_seconds_per_minute)} a minute`],
    ["answers with lips off", `${off} (beyond +45 or −125 ms)`],
    ["loudspeaker against the server's clock", `${signed(server.playhead_drift_seconds_per_minute)} a minute`],
  ];
}

const IN_LIPS = /^(av_|lips_|playhead_)|_count|seconds_total$/;

function showServer(figures) {
  const { server, visits, max_visits, round_trip_ms, reasons, visit_values } = figures;
  const metrics = Object.entries(server ?? {}).filter(([name]) => !IN_LIPS.test(name));
  showList("#server", [
    ["browsers", `${visits} of ${max_visits}`],
    ["round trip to the server", round_trip_ms === null ? "–" : `${round_trip_ms.toFixed(1)} ms`],
    ["turns", Object.entries(reasons).map(([reason, n]) => `${n} ${reason}`).join(", ") || "0"],
    ...Object.entries(visit_values).map(([name, value]) => [name.replaceAll("_", " "), value.toFixed(1)]),
    ...lips(server),
    ...metrics.map(([name, value]) => [name.replaceAll("_", " "), String(+value.toPrecision(3))]),
    ...(server === null ? [["queues", "set log.metrics_port to see them"]] : []),
  ]);
}

function showLog(lines) {
  const log = find("#log");
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.textContent = lines.join("\n");
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function complain(error) {
  const problem = find("#problem");
  problem.hidden = error === null;
  if (error === null) return;
  const help = [401, 403].includes(error.status) ? " Open this page with #token=… of a token with --scope operate." : "";
  problem.textContent = `${error.status ? error.message : "The gateway does not answer."}${help}`;
}

async function look() {
  try {
    const figures = await fetchJson("api/operator", token);
    complain(null);
    find("#version").textContent = figures.version;
    find("#health").textContent = figures.is_serving ? "The server answers" : "The server is away";
    find("#health").className = figures.is_serving ? "is-good" : "is-bad";
    find("#restart").hidden = !figures.can_restart;
    showWaits(figures.waits_ms);
    showTurn(figures.last_turn);
    showMachine(figures.machine);
    showServer(figures);
    showLog(figures.log);
  } catch (error) {
    complain(error);
  }
  setTimeout(look, EVERY_MS);
}

// Two touches, so that nobody restarts a face in mid-sentence by a slip.
let armed = 0;
find("#restart").addEventListener("click", async ({ target }) => {
  if (!armed) {
    target.textContent = "Touch again to restart";
    target.classList.add("is-armed");
    armed = setTimeout(disarm, ARMED_MS);
    return;
  }
  clearTimeout(armed);
  disarm();
  await fetchJson("api/operator/restart", token, { method: "POST" }).catch(complain);
});

function disarm() {
  armed = 0;
  find("#restart").textContent = "Restart the server";
  find("#restart").classList.remove("is-armed");
}

await look();
