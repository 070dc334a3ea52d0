/**
 * `npm run bench`: every question, each in a process of its own, then the goals of all together.
 *
 * `npm run bench -- get sequential` asks only those; `--quick` and `--json FILE` are as for one
 * question. Invariant: a question that fails does not keep the next from being asked; it is named
 * at the end and the exit code is 1. A goal that does not hold fails nothing.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type GoalResult, goalText } from './support/report.ts';

/** In the order in which they are asked; each is a file beside this one. */
const questions = [
  'one-client',
  'many-clients',
  'value-sizes',
  'sequential',
  'get',
  'micro',
] as const;

interface Answer {
  readonly name: string;
  readonly goals: readonly GoalResult[];
}

const usage = `npm run bench -- [QUESTION ...] [--quick] [--json FILE]
The questions: ${questions.join(', ')}.`;

/** Asks one question in a process of its own; undefined where that failed. */
function answerOf(name: string, quick: boolean, folder: string): Answer | undefined {
  const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const json = join(folder, `${name}.json`);
  const options = ['--expose-gc', file, '--json', json, ...(quick ? ['--quick'] : [])];
  const began = performance.now();
  const { status, error } = spawnSync(process.execPath, options, { stdio: 'inherit' });
  console.log(`\n(${name}: ${Math.round((performance.now() - began) / 1e3)} s)\n`);
  if (status !== 0) {
    console.log(`${name} failed${error === undefined ? '' : `: ${error.message}`}.\n`);
    return undefined;
  }
  return JSON.parse(readFileSync(json, 'utf8')) as Answer;
}

function showGoals(answers: readonly Answer[]): void {
  console.log('All goals:');
  for (const { name, goals } of answers) {
    for (const goal of goals) {
      // NaN is null in JSON.
      const value = goal.value ?? Number.NaN;
      console.log(`${name}: ${goalText({ ...goal, value })}`);
    }
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const unknown = positionals.filter((name) => !(questions as readonly string[]).includes(name));
if (values.help || unknown.length > 0) {
  console.log(usage);
  if (unknown.length > 0) process.exitCode = 1;
} else {
  const folder = mkdtempSync(join(tmpdir(), 'varve-answers-'));
  const began = performance.now();
  const chosen = positionals.length > 0 ? positionals : questions;
  const answers = chosen.map((name) => [name, answerOf(name, values.quick, folder)] as const);
  rmSync(folder, { recursive: true });
  const given = answers.map(([, answer]) => answer).filter((answer) => answer !== undefined);
  showGoals(given);
  const failed = answers.filter(([, answer]) => answer === undefined).map(([name]) => name);
  if (failed.length > 0) {
    console.log(`Failed: ${failed.join(', ')}.`);
    process.exitCode = 1;
  }
  console.log(`\nIn ${Math.round((performance.now() - began) / 1e3)} s.`);
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify(given, undefined, 2)}\n`);
  }
}
