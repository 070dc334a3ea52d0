/**
 * The programs in examples/ run against the package as it is built, and print what they show. Their
 * classes have tests in test/examples.
 */

import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

function run(path: string): string {
  const script = fileURLToPath(new URL(path, import.meta.url));
  return execFileSync(process.execPath, [script], { encoding: 'utf8' });
}

/** Each example and its lines. */
const printed: readonly (readonly [string, readonly string[]])[] = [
  [
    'blob-cache.mjs',
    [
      'the same blob twice is one: true, 3000 bytes',
      'after a fourth blob: 3000 bytes',
      'the third is gone: true',
      'after a stream: 2500 bytes, and back: 1500 bytes',
      'after a restart: 2500 bytes, in the same order: true',
    ],
  ],
  [
    'job-queue.mjs',
    [
      'taken, and never finished: {"to":"ada"}',
      'ada: attempt 2',
      'bob: attempt 2',
      'eve: attempt 1',
      'left: 0',
    ],
  ],
  [
    'document-store.mjs',
    [
      'born before 1850: mary, ada',
      'physics: emmy, mary',
      "'bob' has the key 'ada@example.org' of 'ada' in 'mail'",
      'added: ada, emmy; changed: ; removed: ',
      'added: david; changed: ; removed: ',
      'added: ; changed: ada; removed: ',
      'added: ; changed: ; removed: emmy',
      'the live query has ended: true',
    ],
  ],
  [
    'small-b-tree.mjs',
    [
      'the square of 12: 144',
      'read while others write: [["n0012",144],["n0013",169],["n0014",196]]',
      'after a restart: [["n0012","replaced"],["n0014",196]]',
    ],
  ],
];

it.each(printed)('examples/%s prints what it shows', (name, lines) => {
  expect(run(`../../examples/${name}`).split('\n')).toEqual([...lines, '']);
});

it('every example is run', () => {
  const folder = fileURLToPath(new URL('../../examples/', import.meta.url));
  const names = [...printed.map(([name]) => name), 'metrics.mjs'];
  expect(readdirSync(folder).sort()).toEqual(names.sort());
});

describe('examples/metrics.mjs', () => {
  it('prints the figures of its store as text for Prometheus', () => {
    const text = run('../../examples/metrics.mjs');
    const [, path = ''] = /path="([^"]+)"/.exec(text) ?? [];
    expect(path).toMatch(/watched\.varve$/);
    const lines = text.replaceAll(`path="${path}"`, 'of').trimEnd().split('\n');
    for (const line of lines) {
      expect(line).toMatch(
        /^(?:# TYPE \w+ (?:counter|gauge|histogram)|\w+\{of(?:,le="[^"]+")?\} [\d.e-]+)$/,
      );
    }
    const figure = (name: string): number =>
      Number(lines.find((line) => line.startsWith(`${name}{of} `))?.split(' ')[1]);
    // A compaction takes batches of its own.
    const batches = figure('varve_batch');
    expect(batches).toBeGreaterThanOrEqual(4);
    expect(figure('varve_settles_total')).toBeGreaterThan(0);
    expect(figure('varve_file_bytes')).toBeGreaterThan(0);
    expect(lines).toEqual(
      expect.arrayContaining([
        `varve_batches_total{of} ${batches}`,
        'varve_sessions_total{of} 6',
        'varve_values_total{of} 4',
        'varve_value_bytes_total{of} 106',
        'varve_freed_values_total{of} 1',
        'varve_freed_bytes_total{of} 100',
        'varve_compactions_total{of} 1',
        'varve_openings_total{of} 1',
        'varve_unclean_openings_total{of} 0',
        'varve_poisoned_total{of} 0',
        'varve_checkpoint{of} 3',
        `varve_commit_sync_seconds_count{of} ${batches}`,
        `varve_commit_wait_seconds_bucket{of,le="+Inf"} ${batches}`,
        'varve_opening_seconds_count{of} 1',
      ]),
    );
  });

  it('records the figures with the instruments of OpenTelemetry, until it is ended', () => {
    const told = JSON.parse(run('./metered.mjs'));
    const { sums, counts, gauges, paths, bytesWritten, movedBytes, fileBytesAfter } = told;
    expect(paths).toEqual(['watched']);
    expect(sums).toMatchObject({
      'varve.sessions': 4,
      'varve.values': 2,
      'varve.value.bytes': 305_000,
      'varve.written.bytes': bytesWritten,
      'varve.freed': 1,
      'varve.freed.bytes': 300_000,
      'varve.moved.bytes': movedBytes,
      'varve.poisoned': 0,
    });
    expect(counts).toMatchObject({
      'varve.commit.write': gauges['varve.batch'],
      'varve.commit.sync': gauges['varve.batch'],
      'varve.commit.wait': gauges['varve.batch'],
      'varve.opening': 1,
    });
    expect(movedBytes).toBeGreaterThan(0);
    expect(sums['varve.settled']).toBeGreaterThan(0);
    expect(gauges['varve.batch']).toBeGreaterThanOrEqual(4);
    expect(gauges).toMatchObject({ 'varve.checkpoint': 3, 'varve.file': fileBytesAfter });
  });
});
