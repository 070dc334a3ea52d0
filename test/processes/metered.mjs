/**
 * A program whose stores are watched by examples/metrics.mjs, for examples.test.ts: a meter of its own
 * stands for the SDK of OpenTelemetry. It says one line of JSON: the sums that each instrument got, and
 * the last values of gauges, by their names.
 *
 * Uses the built library by its name, as the example does.
 */

import { metrics } from '@opentelemetry/api';
import { memoryFileSystem, Store } from 'varve';
import { exportToOpenTelemetry } from '../../examples/metrics.mjs';

/** @type {Record<string, number>} */
const sums = {};
/** @type {Record<string, number>} */
const counts = {};
/** @type {Record<string, number>} */
const gauges = {};
const paths = new Set();

/** @param {string} name */
const adding = (name) => {
  sums[name] = 0;
  counts[name] = 0;
  /** @param {number} number @param {Record<string, unknown>} attributes */
  return (number, attributes) => {
    sums[name] = (sums[name] ?? 0) + number;
    counts[name] = (counts[name] ?? 0) + 1;
    paths.add(attributes['varve.path']);
  };
};
const meter = {
  /** @param {string} name */
  createCounter: (name) => ({ add: adding(name) }),
  /** @param {string} name */
  createHistogram: (name) => ({ record: adding(name) }),
  /** @param {string} name */
  createGauge: (name) => ({
    /** @param {number} number */
    record(number) {
      gauges[name] = number;
    },
  }),
};
const provider = { getMeter: () => meter };
metrics.setGlobalMeterProvider(/** @type {any} */ (provider));

const end = exportToOpenTelemetry();
const inMemory = memoryFileSystem();
const store = await Store.open('watched', { fileSystem: inMemory });
const { id } = await store.put(new Uint8Array(300_000));
// It is moved into the space that the first one leaves.
await store.put(new Uint8Array(5000));
const session = store.session();
session.archive(id);
await store.checkpointTo(await session.commit());
const { movedBytes, fileBytesAfter } = await store.compact();
const { bytesWritten } = store.statistics();
await store.close();
end();
await (await Store.open('unwatched', { fileSystem: inMemory })).close();
const figures = { bytesWritten, movedBytes, fileBytesAfter };
console.log(JSON.stringify({ sums, counts, gauges, paths: [...paths], ...figures }));
