"use strict";
// Draws the run that the page contains: tables, and plots by Chart.js.

const run = JSON.parse(document.getElementById("run").textContent);
const main = document.querySelector("main");
const COLORS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2"];
const color = (i) => COLORS[i % COLORS.length];

function add(parent, tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  parent.append(element);
  return element;
}

function time(seconds) {
  if (!seconds) return "-";
  if (seconds < 1e-3) return (seconds * 1e6).toFixed(1) + " us";
  if (seconds < 1) return (seconds * 1e3).toFixed(2) + " ms";
  return seconds.toFixed(2) + " s";
}

function table(head, rows) {
  const box = add(main, "div", undefined, "table");
  const element = add(box, "table");
  const top = add(element, "tr");
  for (const cell of head) add(top, "th", cell);
  for (const row of rows) {
    const line = add(element, "tr");
    for (const cell of row) add(line, "td", cell, typeof cell === "string" && /[a-z]{4}/.test(cell) ? "text" : "");
  }
}

// [{phase, workload, name}] of all that was measured.
const parts = run.phases.flatMap((phase) =>
  phase.workloads.map((workload) => ({
    phase,
    workload,
    name: phase.workloads.length === 1 ? phase.name : phase.name + "." + workload.name,
  })));

function loadText(load) {
  if (load.kind === "closed") return load.in_flight + " in flight";
  if (load.kind === "replay") return "replay of " + load.requests;
  return load.rate === undefined ? "open, rates" : "open, " + load.rate.toFixed(0) + "/s";
}

function heading() {
  add(main, "h1", run.scenario + ": " + run.verdict, run.verdict);
  if (run.about) add(main, "p", run.about);
  const machine = run.machine;
  add(main, "p", `${run.started}; ${machine.processor}, ${machine.threads} threads, ${machine.kernel}; ` +
    `actload ${run.version}, seed ${run.seed}`);
  for (const [address, server] of Object.entries(run.servers)) {
    add(main, "p", server.error ? address : `${address}: actserved ${server.version}, ${server.devices.join(", ")}`);
  }
  add(main, "p", "Command: " + run.command.join(" "));
  for (const phase of run.phases) {
    for (const why of phase.invalid) add(main, "p", `invalid: ${phase.name}: ${why}`, "invalid");
  }
}

function tables() {
  add(main, "h2", "Figures");
  table(["phase", "load", "ok/s", "p50", "p90", "p99", "p99.9", "p99.99", "max", "errors", "MB/s", "elements/s", "lag p99"],
    parts.map(({ name, workload }) => {
      const f = workload.figures;
      return [name, loadText(workload.load), f.rate.toFixed(0), time(f.p50), time(f.p90), time(f.p99), time(f.p999),
        time(f.p9999), time(f.max), f.errors,
        ((f.sent_bytes_per_second + f.received_bytes_per_second) / 1e6).toFixed(1),
        f.elements_per_second.toExponential(2), time(f.lag_p99)];
    }));
  const errors = parts.flatMap(({ name, workload }) =>
    workload.codes.filter((each) => each.code !== "OK")
      .map((each) => [name, each.code, each.reason, each.count]));
  if (errors.length) {
    add(main, "h2", "Errors");
    table(["phase", "code", "reason", "calls"], errors);
  }
  if (run.conditions.length) {
    add(main, "h2", "Conditions");
    table(["condition", "value", "limit", ""], run.conditions.map((each) =>
      [each.text, each.value.toPrecision(4), each.limit.toPrecision(4), each.passed ? "pass" : "FAIL"]));
  }
}

let plots;
function plot(title, x, y, datasets) {
  const shown = datasets.filter((each) => each.data.length > 0);
  if (!shown.length) return;
  const box = add(plots, "div");
  new Chart(add(box, "canvas"), {
    type: "scatter",
    data: { datasets: shown.map((each, i) => ({
      showLine: true, borderColor: color(i), backgroundColor: color(i), borderWidth: 1.5, pointRadius: 2, ...each })) },
    options: {
      animation: false, maintainAspectRatio: false,
      plugins: { title: { display: true, text: title } },
      scales: { x: { title: { display: true, text: x.text }, type: x.type || "linear" },
                y: { title: { display: true, text: y.text }, type: y.type || "linear" } },
    },
  });
}

const positive = (points) => points.filter(({ x, y }) => y > 0 && x >= 0);
const MILLISECONDS = { text: "milliseconds", type: "logarithmic" };

function latencyAgainstRate() {
  const byWorkload = {};
  for (const { workload } of parts) (byWorkload[workload.name] ||= []).push(workload.figures);
  const lines = [];
  for (const [name, all] of Object.entries(byWorkload)) {
    if (all.length < 2) continue;
    const sorted = [...all].sort((a, b) => a.rate - b.rate);
    for (const figure of ["p50", "p99", "p999"]) {
      lines.push({ label: `${name} ${figure}`, data: positive(sorted.map((f) => ({ x: f.rate, y: f[figure] * 1e3 }))) });
    }
  }
  plot("Latency against rate", { text: "answers per second" }, MILLISECONDS, lines);
}

// Phases follow each other on one axis of time.
function overTime() {
  const begins = {};
  let at = 0;
  for (const phase of run.phases) {
    begins[phase.name] = at;
    at += phase.seconds;
  }
  const names = [...new Set(parts.map(({ workload }) => workload.name))];
  const line = (name, figure, scale) => positive(parts.filter(({ workload }) => workload.name === name)
    .flatMap(({ phase, workload }) => workload.windows.map((window) =>
      ({ x: begins[phase.name] + window.t + window.seconds, y: window[figure] * scale }))));
  for (const name of names) {
    plot(`${name}: percentiles over time`, { text: "seconds of all phases, without warm-up" }, MILLISECONDS,
      ["p50", "p90", "p99", "max"].map((figure) => ({ label: figure, data: line(name, figure, 1e3) })));
  }
  plot("Answers over time", { text: "seconds of all phases, without warm-up" }, { text: "answers per second" },
    names.map((name) => ({ label: name, data: line(name, "rate", 1) })));
  const server = (figure, scale) => run.phases.filter((phase) => phase.server && phase.server.over_time)
    .flatMap((phase) => phase.server.over_time.filter((each) => each.t >= 0)
      .map((each) => ({ x: begins[phase.name] + each.t, y: each[figure] * scale })));
  plot("Memory of the server", { text: "seconds" }, { text: "MiB" }, [
    { label: "resident", data: server("process_resident_memory_bytes", 1 / 2 ** 20) },
    { label: "held by calls and residuals", data: server("actserve_memory_bytes", 1 / 2 ** 20) }]);
  plot("Requests that wait for the device", { text: "seconds" }, { text: "requests" }, [
    { label: "queued", data: server("actserve_queued_requests", 1) }]);
}

function spectrum() {
  plot("Percentile spectrum", { text: "1 / (1 - quantile): 10 is p90, 100 is p99, 1000 is p99.9", type: "logarithmic" },
    MILLISECONDS, parts.map(({ name, workload }) => ({
      label: name, pointRadius: 0,
      data: workload.spectrum.filter(([q]) => q < 1).map(([q, seconds]) => ({ x: 1 / (1 - q), y: seconds * 1e3 })),
    })));
}

heading();
tables();
plots = add(main, "div", undefined, "plots");
latencyAgainstRate();
overTime();
spectrum();
