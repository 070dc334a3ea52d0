/**
 * Runs the test that is to catch a fault, with the fault, in a vitest process of its own.
 *
 * Invariant: a fault counts as caught only where a test ran and failed, by the assertion that the
 * fault names if it names one, or where the process did not
 * come to an end: one in which nothing ran (the snippet is stale, no test has such a name, the
 * source does not parse) says so instead. The process is a single one, with its tests in threads, so
 * that ending it ends them.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SeededFault } from './seeded-fault.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const vitest = dirname(createRequire(import.meta.url).resolve('vitest/package.json'));
/** For one test, and for one hook, of which the faults make some hang. */
const testMilliseconds = 15_000;
/** For the whole process: longer than any of them takes, but for one that loops. */
export const processMilliseconds = 90_000;

/** What became of a fault. */
export interface Outcome {
  readonly caught: boolean;
  /** The test that failed and how, or why none did. */
  readonly words: string;
}

/** What is looked at of vitest's JSON report. */
interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

/** Runs the test of `fault`, whose number is `number`; with no number, without the fault. */
export async function runTestOf(
  fault: SeededFault,
  number: number | undefined,
  folder: string,
): Promise<Outcome> {
  const report = join(folder, `report-${number ?? `without-${fault.name.length}`}.json`);
  const { ended, output } = await runVitest(fault, number, report);
  if (!ended) return { caught: true, words: 'the tests do not come to an end' };
  const found = readReport(report);
  if (found === undefined) return { caught: false, words: `vitest did not run: ${output}` };
  return outcomeOf(found, fault.caughtBy.assertion ?? '');
}

function outcomeOf({ testResults }: Report, assertion: string): Outcome {
  const results = testResults.flatMap(({ assertionResults }) => assertionResults);
  const failed = results.find(({ status }) => status === 'failed');
  if (failed !== undefined) {
    const [first = ''] = failed.failureMessages ?? [];
    const words = `${failed.fullName}: ${first.split('\n')[0]}`;
    if (first.includes(assertion)) return { caught: true, words };
    return { caught: false, words: `${words}, not by the assertion '${assertion}'` };
  }
  const passed = results.filter(({ status }) => status === 'passed').length;
  if (passed > 0) return { caught: false, words: `${passed} tests ran and passed` };
  const messages = testResults.map(({ message }) => message).filter((message) => message !== '');
  return { caught: false, words: ['no test ran', ...messages].join(': ') };
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
function environment(number: number | undefined): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (/^(VITEST|VARVE_|TEST_REPORT_FILE$|NODE_OPTIONS$)/.test(name)) continue;
    env[name] = value;
  }
  return number === undefined ? env : { ...env, VARVE_SEEDED_FAULT: String(number) };
}

function runVitest(
  { caughtBy }: SeededFault,
  number: number | undefined,
  report: string,
): Promise<{ ended: boolean; output: string }> {
  const { file, test } = caughtBy;
  const times = [`--testTimeout=${testMilliseconds}`, `--hookTimeout=${testMilliseconds}`];
  const output = ['--bail=1', '--reporter=json', `--outputFile=${report}`];
  const chosen = test === undefined ? [] : [`--testNamePattern=${literally(test)}`];
  const args = ['run', file, '--pool=threads', ...times, ...output, ...chosen];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(vitest, 'vitest.mjs'), ...args], {
      cwd: repository,
      env: environment(number),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    let ended = true;
    const limit = setTimeout(() => {
      ended = false;
      child.kill('SIGKILL');
    }, processMilliseconds);
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
