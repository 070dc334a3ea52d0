/**
 * How the tests run: every test/**\/*.test.ts, each file in a process of its own, so that locks,
 * file handles and limits of one cannot reach another. The last lines printed count what passed and
 * what failed; TEST_REPORT_FILE names a file that gets the same as JSON (.ci/run reads it).
 * The time limits only end what hangs; no test may depend on how fast the machine is.
 * VARVE_QUICK leaves out the campaigns: cuts, faults, damage, processes, models, fuzzers, histories.
 * VARVE_SEEDED_FAULT puts one fault into the engine (test/seeded-faults/README.md).
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { seededFaultPlugins } from './test/seeded-faults/fault-plugin.ts';

const reportFile = process.env['TEST_REPORT_FILE'];

/** Campaigns: very many trials, very long commits, or other processes. `npm test` runs them. */
const slow = [
  'test/{crash,damage,forest-simulation,model,processes,scale,seeded-faults,simulation}/**',
  'test/contract/histories*',
  'test/**/turns*',
  'test/counters/{bulk,many-commits}*',
  'test/forest/{crash,damage}/**',
  'test/forest/{beside-a-writer,model}*',
  'test/forest/reads/reads-while-committing*',
  'test/format/fuzz/**',
  'test/io/node-lock*',
  'test/readers/between-reads*',
  'test/regression/*simulated*',
  'test/store/churn*',
  'test/store/settle/{either-header,housekeeping,settle-cuts,write-order}*',
];

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // Examples import the package by its name. Tests that import examples get the source.
  resolve: {
    alias: [
      { find: /^varve$/, replacement: source('src/index.ts') },
      { find: /^varve\/forest$/, replacement: source('src/forest/index.ts') },
      { find: /^varve\/vault$/, replacement: source('src/vault/index.ts') },
    ],
  },
  plugins: seededFaultPlugins(import.meta.url),
  test: {
    include: ['test/**/*.test.ts'],
    exclude: process.env['VARVE_QUICK'] ? slow : [],
    setupFiles: ['test/support/strict.ts'],
    environment: 'node',
    pool: 'forks',
    globals: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    allowOnly: false,
    reporters: reportFile ? ['default', ['json', { outputFile: reportFile }]] : ['default'],
  },
});
