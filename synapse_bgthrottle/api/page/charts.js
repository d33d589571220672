// The live charts, drawn by uPlot (a global, from its own file), in the colours of the style sheet.

import { h } from "./dom.js";
import { UNKNOWN, milliseconds, percent } from "./words.js";

const HEIGHT = 160;

const KINDS = {
  batch: {
    title: "Batch time",
    columns: ["batchMs", "targetMs"],
    series: [
      { label: "batches", color: "--line-a", width: 2 },
      { label: "target", color: "--line-b", width: 1.5, dash: [5, 4] },
    ],
    tick: (value) => milliseconds(value),
    range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.15],
    now: (last) => said(milliseconds(last.batchMs), (text) => `${text} a batch`, "no batch yet"),
  },
  duty: {
    title: "Duty cycle",
    columns: ["worked", "allowed"],
    series: [
      { label: "in batches", color: "--line-a", width: 2 },
      { label: "allowed", color: "--line-b", width: 1.5, dash: [5, 4] },
    ],
    tick: (value) => `${Math.round(value * 100)}%`,
    range: (_, low, high) => [0, Math.min(Math.max(high ?? 0, 0.05) * 1.2, 1.02)],
    now: (last) => said(percent(last.worked), (text) => `now ${text}`, ""),
  },
};

/** All charts of the page, by database and kind. */
export class Charts {
  #charts = new Map();

  /** The figures of one database, as elements; drawn by `draw`. */
  figures(database, trace) {
    return h(
      "div",
      { class: "charts", key: "charts" },
      Object.entries(KINDS).map(([kind, { title, series, now }]) => {
        const key = `${kind} ${database}`;
        return h(
          "figure",
          { key },
          h(
            "figcaption",
            null,
            h("strong", null, title),
            h("span", null, now(trace.last)),
            series.map((one, at) =>
              h("span", { class: at ? "key dashed" : "key", key: one.label }, one.label),
            ),
          ),
          // What it shows is in the caption and in the facts above; a canvas says nothing aloud.
          h("div", { class: "chart", "aria-hidden": "true", made: (host) => this.#make(key, kind, host) }),
        );
      }),
    );
  }

  /** Bring one database's charts up to date. */
  draw(database, trace) {
    for (const [kind, { columns }] of Object.entries(KINDS)) {
      const chart = this.#charts.get(`${kind} ${database}`);
      if (chart !== undefined) chart.plot.setData(trace.columns(...columns));
    }
  }

  /** Forget those that are no longer on the page; or all, to be drawn anew in other colours. */
  sweep(everything = false) {
    for (const [key, chart] of this.#charts) {
      if (!chart.host.isConnected) {
        chart.end();
        this.#charts.delete(key);
      } else if (everything) {
        const { data } = chart.plot;
        chart.end();
        this.#make(key, chart.kind, chart.host);
        this.#charts.get(key).plot.setData(data);
      }
    }
  }

  #make(key, kind, host) {
    const plot = new globalThis.uPlot(options(KINDS[kind], host), [[], [], []], host);
    const watch = new ResizeObserver(() => {
      if (host.clientWidth) plot.setSize({ width: host.clientWidth, height: HEIGHT });
    });
    watch.observe(host);
    const end = () => {
      watch.disconnect();
      plot.destroy();
    };
    this.#charts.get(key)?.end();
    this.#charts.set(key, { kind, host, plot, end });
  }
}

function options(kind, host) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const font = "12px system-ui, sans-serif";
  const grid = { stroke: color("--rail"), width: 1 };
  const axis = { stroke: color("--quiet"), font, grid, ticks: { show: false } };
  return {
    width: host.clientWidth || 300,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: true }, y: { range: kind.range } },
    axes: [
      { ...axis, size: 32, space: 70, values: (_, ticks) => ticks.map(timeOfDay) },
      { ...axis, size: 62, values: (_, ticks) => ticks.map(kind.tick) },
    ],
    series: [
      {},
      ...kind.series.map((one) => ({
        label: one.label,
        stroke: color(one.color),
        width: one.width,
        dash: one.dash,
        points: { show: false },
      })),
    ],
  };
}

function said(text, inWords, otherwise) {
  return text === UNKNOWN ? otherwise : inWords(text);
}

function timeOfDay(seconds) {
  const time = new Date(seconds * 1000).toLocaleTimeString("en-GB");
  return time.endsWith(":00") ? time.slice(0, 5) : time;
}
