/**
 * Figures of varve's stores for whoever watches a program: as OpenTelemetry metrics, and as text for
 * Prometheus.
 *
 * Both are fed by the messages that stores send by `node:diagnostics_channel`; README.md and the
 * type `StoreMessages` say what each field means. Nothing here touches a store, so it can be added
 * to any program without changing it. Copy what you need:
 *
 * - `exportToOpenTelemetry(meter)` takes a meter of `@opentelemetry/api`. Your program sets up the
 *   SDK that collects and sends; without one, the meter does nothing.
 * - `new PrometheusText()` counts, and its `text()` is the body of the answer to `GET /metrics`.
 *
 * What to alarm on: `varve_poisoned_total` above 0 (open the store again, and look at the disk), a
 * p99 of `varve_commit_sync_seconds` beyond what the disk promises, and a `varve_batch` minus
 * `varve_checkpoint` that grows for hours (a guard or snapshot that is never released).
 *
 * Run it: `node examples/metrics.mjs` makes a store in a temporary folder, uses it, and prints the
 * text. In a clone of the repository, run `npm run build` first.
 */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { metrics } from '@opentelemetry/api';
import { Store } from 'varve';

/** @typedef {import('varve').StoreMessages} StoreMessages */

/**
 * Calls a function for each message of a channel. The result ends that.
 *
 * @template {keyof StoreMessages} Name
 * @param {Name} name
 * @param {(message: StoreMessages[Name]) => void} listener
 */
function listen(name, listener) {
  /** @param {unknown} message */
  const own = (message) => listener(/** @type {StoreMessages[Name]} */ (message));
  subscribe(name, own);
  return () => unsubscribe(name, own);
}

// ── OpenTelemetry ──

/**
 * Records every message with instruments of the meter. The attribute `varve.path` names the store.
 * The result ends that.
 *
 * @param {import('@opentelemetry/api').Meter} meter
 */
export function exportToOpenTelemetry(meter = metrics.getMeter('varve')) {
  /** @param {string} name @param {string} description */
  const seconds = (name, description) => meter.createHistogram(name, { description, unit: 's' });
  /** @param {string} name @param {string} description @param {string} unit */
  const counter = (name, description, unit) => meter.createCounter(name, { description, unit });
  /** @param {string} name @param {string} description */
  const gauge = (name, description) => meter.createGauge(name, { description });

  const sessions = counter('varve.sessions', 'Sessions committed', '{session}');
  const values = counter('varve.values', 'Values committed', '{value}');
  const valueBytes = counter('varve.value.bytes', 'Bytes of these values', 'By');
  const writes = counter('varve.writes', 'Writes to the file', '{write}');
  const written = counter('varve.written.bytes', 'Bytes written to the file', 'By');
  const write = seconds('varve.commit.write', 'Time of the writes of a batch');
  const sync = seconds('varve.commit.sync', 'Time of the sync of a batch');
  const wait = seconds('varve.commit.wait', 'Time that sessions waited for their batch');
  const batch = gauge('varve.batch', 'The last durable batch');
  const checkpoint = gauge('varve.checkpoint', 'The batch up to which archived values are freed');
  const freedValues = counter('varve.freed', 'Values freed', '{value}');
  const freedBytes = counter('varve.freed.bytes', 'Bytes of these values', 'By');
  const settledPages = counter('varve.settled', 'Pages written by settles', '{page}');
  const moved = counter('varve.moved.bytes', 'Bytes that compactions have moved', 'By');
  const fileBytes = gauge('varve.file', 'Bytes of the file after its last compaction');
  const opening = seconds('varve.opening', 'Time of openings, recovery included');
  const poisoned = counter('varve.poisoned', 'Stores that must be opened again', '{store}');

  const ends = [
    listen('varve:commit', (message) => {
      const of = { 'varve.path': message.path };
      sessions.add(message.sessions, of);
      values.add(message.values, of);
      valueBytes.add(message.valueBytes, of);
      writes.add(message.writes, of);
      written.add(message.bytesWritten, of);
      write.record(message.writeMs / 1000, of);
      sync.record(message.syncMs / 1000, of);
      wait.record(message.waitMs / 1000, of);
      batch.record(message.batch, of);
    }),
    listen('varve:checkpoint', (message) => {
      const of = { 'varve.path': message.path };
      freedValues.add(message.freedValues, of);
      freedBytes.add(message.freedBytes, of);
      checkpoint.record(message.checkpoint, of);
    }),
    listen('varve:settle', ({ path, pages }) => settledPages.add(pages, { 'varve.path': path })),
    listen('varve:compact', (message) => {
      const of = { 'varve.path': message.path };
      moved.add(message.movedBytes, of);
      fileBytes.record(message.fileBytes, of);
    }),
    listen('varve:recovery', ({ path, report, milliseconds }) => {
      const of = { 'varve.path': path, 'varve.clean': report.clean };
      opening.record(milliseconds / 1000, of);
    }),
    listen('varve:poisoned', ({ path }) => poisoned.add(1, { 'varve.path': path })),
  ];
  return () => {
    for (const end of ends) end();
  };
}

// ── Prometheus ──

/** Upper bounds of the buckets of a histogram, seconds. */
const buckets = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3];

/** Times, as the buckets that Prometheus computes quantiles from. */
class Histogram {
  #counts = buckets.map(() => 0);
  #count = 0;
  #sum = 0;

  /** @param {number} seconds */
  add(seconds) {
    this.#count += 1;
    this.#sum += seconds;
    for (const [at, bound] of buckets.entries()) {
      if (seconds <= bound) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    }
  }

  /** @param {string} name @param {string} label */
  lines(name, label) {
    const inBuckets = buckets.map((bound, at) => [`${bound}`, this.#counts[at]]);
    return [
      ...[...inBuckets, ['+Inf', this.#count]].map(
        ([bound, count]) => `${name}_bucket{${label},le="${bound}"} ${count}`,
      ),
      `${name}_sum{${label}} ${this.#sum}`,
      `${name}_count{${label}} ${this.#count}`,
    ];
  }
}

/** The figures of one store. */
class Figures {
  /** @type {Record<string, number>} */
  counters = {
    varve_batches_total: 0,
    varve_sessions_total: 0,
    varve_values_total: 0,
    varve_value_bytes_total: 0,
    varve_writes_total: 0,
    varve_written_bytes_total: 0,
    varve_freed_values_total: 0,
    varve_freed_bytes_total: 0,
    varve_settles_total: 0,
    varve_settled_pages_total: 0,
    varve_compactions_total: 0,
    varve_moved_bytes_total: 0,
    varve_openings_total: 0,
    varve_unclean_openings_total: 0,
    varve_poisoned_total: 0,
  };
  /**
   * Undefined, and left out of the text, until the first message has said it.
   * @type {Record<string, number | undefined>}
   */
  gauges = { varve_batch: undefined, varve_checkpoint: undefined, varve_file_bytes: undefined };
  histograms = {
    varve_commit_write_seconds: new Histogram(),
    varve_commit_sync_seconds: new Histogram(),
    varve_commit_wait_seconds: new Histogram(),
    varve_opening_seconds: new Histogram(),
  };

  /** @param {Record<string, number>} added */
  count(added) {
    for (const [name, number] of Object.entries(added)) {
      this.counters[name] = (this.counters[name] ?? 0) + number;
    }
  }
}

/** Counts the messages of all stores of this thread from its construction on. */
export class PrometheusText {
  /** @type {Map<string, Figures>} by the path of the store */
  #stores = new Map();
  #ends = [
    listen('varve:commit', (message) => {
      const figures = this.#of(message.path);
      figures.count({
        varve_batches_total: 1,
        varve_sessions_total: message.sessions,
        varve_values_total: message.values,
        varve_value_bytes_total: message.valueBytes,
        varve_writes_total: message.writes,
        varve_written_bytes_total: message.bytesWritten,
      });
      figures.gauges['varve_batch'] = message.batch;
      figures.histograms.varve_commit_write_seconds.add(message.writeMs / 1000);
      figures.histograms.varve_commit_sync_seconds.add(message.syncMs / 1000);
      figures.histograms.varve_commit_wait_seconds.add(message.waitMs / 1000);
    }),
    listen('varve:checkpoint', ({ path, checkpoint, freedValues, freedBytes }) => {
      const figures = this.#of(path);
      const freed = { varve_freed_values_total: freedValues, varve_freed_bytes_total: freedBytes };
      figures.count(freed);
      figures.gauges['varve_checkpoint'] = checkpoint;
    }),
    listen('varve:settle', ({ path, pages }) => {
      this.#of(path).count({ varve_settles_total: 1, varve_settled_pages_total: pages });
    }),
    listen('varve:compact', ({ path, movedBytes, fileBytes }) => {
      const figures = this.#of(path);
      figures.count({ varve_compactions_total: 1, varve_moved_bytes_total: movedBytes });
      figures.gauges['varve_file_bytes'] = fileBytes;
    }),
    listen('varve:recovery', ({ path, report, milliseconds }) => {
      const figures = this.#of(path);
      const unclean = report.clean ? 0 : 1;
      figures.count({ varve_openings_total: 1, varve_unclean_openings_total: unclean });
      figures.histograms.varve_opening_seconds.add(milliseconds / 1000);
    }),
    listen('varve:poisoned', ({ path }) => this.#of(path).count({ varve_poisoned_total: 1 })),
  ];

  /** @param {string} path */
  #of(path) {
    const figures = this.#stores.get(path) ?? new Figures();
    this.#stores.set(path, figures);
    return figures;
  }

  /** All figures in the text format of Prometheus, version 0.0.4. */
  text() {
    const { counters, gauges, histograms } = new Figures();
    const lines = [
      ...Object.keys(counters).flatMap((name) => [
        `# TYPE ${name} counter`,
        ...this.#each((figures, label) => [`${name}{${label}} ${figures.counters[name]}`]),
      ]),
      ...Object.keys(gauges).flatMap((name) => [
        `# TYPE ${name} gauge`,
        ...this.#each(({ gauges: { [name]: number } }, label) =>
          number === undefined ? [] : [`${name}{${label}} ${number}`],
        ),
      ]),
      ...Object.keys(histograms).flatMap((name) => [
        `# TYPE ${name} histogram`,
        ...this.#each((figures, label) =>
          figures.histograms[/** @type {keyof typeof histograms} */ (name)].lines(name, label),
        ),
      ]),
    ];
    return `${lines.join('\n')}\n`;
  }

  /** @param {(figures: Figures, label: string) => string[]} linesOf */
  #each(linesOf) {
    return [...this.#stores].flatMap(([path, figures]) => {
      const escaped = path.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n');
      return linesOf(figures, `path="${escaped}"`);
    });
  }

  /** Counts no more. */
  end() {
    for (const end of this.#ends) end();
  }
}

// ── a program that is watched ──

async function run() {
  const prometheus = new PrometheusText();
  const endExport = exportToOpenTelemetry();
  const folder = await mkdtemp(join(tmpdir(), 'varve-metrics-'));
  try {
    const store = await Store.open(join(folder, 'watched.varve'));
    const { id } = await store.put(new Uint8Array(100));
    await Promise.all([1, 2, 3].map((length) => store.put(new Uint8Array(length))));
    const session = store.session();
    session.archive(id);
    await store.checkpointTo(await session.commit());
    await store.compact();
    await store.close();
    process.stdout.write(prometheus.text());
  } finally {
    endExport();
    prometheus.end();
    await rm(folder, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await run();
