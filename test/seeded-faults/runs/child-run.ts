/**
 * Runs the test that is to catch a fault, with the fault, in a vitest process of its own.
 *
 * Invariant: a run in which nothing ran (the snippet is stale, no test has such a name, the source
 * does not parse), and one that does not come to an end, catch nothing and say so. The process is a
 * single one, with its tests in threads, so that ending it ends them.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Outcome, outcomeOf, type Report } from './outcome.ts';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const vitest = dirname(createRequire(import.meta.url).resolve('vitest/package.json'));
const reporter = fileURLToPath(new URL('child-reporter.ts', import.meta.url));
/** For one test, and for one hook: it only ends what hangs, which is a fault that is not caught. */
const testMilliseconds = 60_000;
/** For the whole process: a test that loops gives the timer of its limit no turn. */
export const processMilliseconds = 90_000;

/** Which tests run, and how long they may take. */
export interface ChildRun {
  /** The folder with the configuration, and with the file. */
  readonly root: string;
  readonly file: string;
  /** The name of a test, or a part of it; all of them without. */
  readonly test?: string;
  readonly options?: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly report: string;
  readonly testMilliseconds: number;
  readonly processMilliseconds: number;
}

/** The test that is to catch a fault. */
export interface CatchingTest {
  readonly file: string;
  readonly test?: string;
  readonly assertion?: string;
}

/** Runs the test with the fault that has this number. */
export function runWithFault(
  number: number,
  { file, test, assertion }: CatchingTest,
  folder: string,
): Promise<Outcome> {
  const report = join(folder, `report-${number}.json`);
  const env = { ...environment(), VARVE_SEEDED_FAULT: String(number) };
  const limits = { testMilliseconds, processMilliseconds };
  const named = { file, ...(test === undefined ? {} : { test }) };
  return runTests({ root: repository, ...named, env, report, ...limits }, assertion);
}

/** `assertion`: words that the message of the failure must have. */
export async function runTests(run: ChildRun, assertion?: string): Promise<Outcome> {
  const { ended, output } = await runVitest(run);
  if (!ended) return { caught: false, words: 'the tests do not come to an end' };
  const found = readReport(run.report);
  if (found === undefined) return { caught: false, words: `vitest did not run: ${output}` };
  return outcomeOf(found, assertion);
}

function readReport(path: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report;
  } catch {
    // Nothing was written: the process says why on its output.
    return undefined;
  }
}

/** The environment, without what this run of vitest has put there or is told by. */
export function environment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (/^(VITEST|VARVE_|TEST_REPORT_FILE$|NODE_OPTIONS$)/.test(name)) continue;
    env[name] = value;
  }
  return env;
}

function argumentsOf({ file, test, options = [], testMilliseconds }: ChildRun): string[] {
  const times = [`--testTimeout=${testMilliseconds}`, `--hookTimeout=${testMilliseconds}`];
  const output = ['--bail=1', `--reporter=${reporter}`];
  const chosen = test === undefined ? [] : [`--testNamePattern=${literally(test)}`];
  return ['run', file, '--pool=threads', ...times, ...output, ...chosen, ...options];
}

function runVitest(run: ChildRun): Promise<{ ended: boolean; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(vitest, 'vitest.mjs'), ...argumentsOf(run)], {
      cwd: run.root,
      env: { ...run.env, VARVE_CHILD_REPORT: run.report },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    let ended = true;
    const limit = setTimeout(() => {
      ended = false;
      child.kill('SIGKILL');
    }, run.processMilliseconds);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(limit);
      resolve({ ended, output: errors.slice(0, 500) });
    });
  });
}

/** A pattern that is the text itself. */
function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
