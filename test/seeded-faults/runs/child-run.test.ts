/**
 * What counts as caught, by runs of vitest itself: each has one test, which fails in a way of its own.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeTemporaryFolder, removeTemporaryFolder } from '../../support/temporary-folder.ts';
import { environment, runTests } from './child-run.ts';
import type { Outcome } from './outcome.ts';

let folder: string;

beforeAll(() => {
  folder = makeTemporaryFolder();
});

afterAll(() => removeTemporaryFolder(folder));

/** Runs tests with this source. The limits are of a test and of the process. */
function outcomeWith(
  name: string,
  source: string,
  [testMilliseconds, processMilliseconds] = [60_000, 60_000],
): Promise<Outcome> {
  const root = join(folder, name);
  mkdirSync(root);
  writeFileSync(join(root, 'one.test.js'), source);
  const limits = { testMilliseconds, processMilliseconds };
  const report = join(root, 'report.json');
  const options = ['--globals', `--root=${root}`];
  return runTests({ root, file: 'one.test.js', options, env: environment(), report, ...limits });
}

it('a test that fails by an assertion catches a fault', async () => {
  const source = "it('checks', () => { expect(1, 'one').toBe(2); });";
  expect(await outcomeWith('fails', source)).toEqual({
    caught: true,
    words: 'checks: one: expected 1 to be 2 // Object.is equality',
  });
});

it('a test that fails by its time limit alone does not', async () => {
  const source = `
    afterEach(() => { throw new Error('the store is still open'); });
    it('waits', () => new Promise(() => undefined));`;
  const { caught, words } = await outcomeWith('waits', source, [10, 60_000]);
  expect(words).toMatch(/^waits: Test timed out in 10ms.* Only time caught it.$/);
  expect(caught).toBe(false);
});

it('nor does a hook that fails by its time limit', async () => {
  const source = `
    beforeEach(() => new Promise(() => undefined));
    it('waits', () => undefined);`;
  const { caught, words } = await outcomeWith('hook', source, [10, 60_000]);
  expect(words).toMatch(/^waits: Hook timed out in 10ms.* Only time caught it.$/);
  expect(caught).toBe(false);
});

it('a test that fails by an assertion, and whose hook then runs into the limit, catches it', async () => {
  const source = `
    afterEach(() => new Promise(() => undefined));
    it('checks', () => { throw new Error('wrong'); });`;
  const outcome = await outcomeWith('both', source, [10, 60_000]);
  expect(outcome).toEqual({ caught: true, words: 'checks: wrong' });
});

it('a process that does not come to an end catches nothing', async () => {
  // The limit of the process has to leave vitest the time to start: a loop outlasts any.
  const outcome = await outcomeWith('loops', "it('loops', () => { for (;;); });", [10, 3000]);
  expect(outcome).toEqual({ caught: false, words: 'the tests do not come to an end' });
});

it('a run without a test catches nothing', async () => {
  const { caught, words } = await outcomeWith('none', "throw new Error('stale');");
  expect(words).toContain('no test ran: stale');
  expect(caught).toBe(false);
});
